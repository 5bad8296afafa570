package tail

import (
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/change"
)

// deliver passes on what an entry of FerretDB's log of writes means. Inserts
// carry the document in o, updates the whole new document in o.$set, deletes
// the _id in o.
func (f *embedded) deliver(e entry, at change.Position, sink Sink) {
	ns, _ := e.raw.Lookup("ns").StringValueOK()
	collection, ours := strings.CutPrefix(ns, f.cfg.Database+".")
	if !ours {
		return
	}
	op, _ := e.raw.Lookup("op").StringValueOK()
	doc, ok := e.raw.Lookup("o").DocumentOK()
	if !ok {
		return
	}
	if op == "u" {
		if set, ok := doc.Lookup("$set").DocumentOK(); ok {
			doc = set
		}
	}
	switch {
	case watched(collection):
		f.metrics.hints.Inc()
		sink.Hint(hint(collection, doc.Lookup("_id"), page(doc), at))
	case collection == change.Events && op == "i":
		if m, ok := f.reader.message(doc, at); ok {
			f.metrics.messages.Inc()
			sink.Message(m)
		}
	}
}

func page(doc bson.Raw) bson.RawValue { return doc.Lookup("page") }
