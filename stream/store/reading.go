package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/status"
)

// A Reading is what one load found of one page: its documents, not decoded
// yet. Most loads find what the one before found, and that shows in the hash.
type Reading struct {
	// Hash is the same for the same documents, within one process and in
	// whatever order the server gave them. It covers all that Decode looks at,
	// and nothing else: not updated_at, for example.
	Hash uint64
	// Decode makes the page, without PastIncidents. An error says that the
	// page's own document does not fit the schema, so that the page exists and
	// cannot be read; it has been logged and counted. Of the rest, what does
	// not fit is left out.
	//
	// It keeps the documents alive. It is safe for concurrent use.
	Decode func() (status.Page, error)
}

// documents are those of one page.
type documents struct {
	page               bson.Raw
	components, issues []bson.Raw
}

// reading orders the documents by id and hashes them. A document that a query
// returned twice, because it was moved in the index meanwhile, stays once.
func (s *Store) reading(d documents) Reading {
	d.components, d.issues = byID(d.components), byID(d.issues)
	var h maphash.Hash
	h.SetSeed(seed)
	h.Write(d.page)
	for _, docs := range [][]bson.Raw{d.components, d.issues} {
		h.Write(binary.AppendUvarint(nil, uint64(len(docs))))
		for _, doc := range docs {
			h.Write(doc)
		}
	}
	return Reading{Hash: h.Sum64(), Decode: func() (status.Page, error) { return s.decode(d) }}
}

var seed = maphash.MakeSeed()

func byID(docs []bson.Raw) []bson.Raw {
	compare := func(a, b bson.Raw) int {
		x, y := a.Lookup("_id"), b.Lookup("_id")
		return cmp.Or(cmp.Compare(x.Type, y.Type), bytes.Compare(x.Value, y.Value))
	}
	slices.SortStableFunc(docs, compare)
	return slices.CompactFunc(docs, func(a, b bson.Raw) bool { return compare(a, b) == 0 })
}

func (s *Store) decode(d documents) (status.Page, error) {
	p, err := s.decodePage(d.page)
	if err != nil {
		return status.Page{}, err
	}
	for _, raw := range d.components {
		if c, ok := s.decodeComponent(raw); ok {
			p.Components = append(p.Components, c)
		}
	}
	for _, raw := range d.issues {
		if i, ok := s.decodeIssue(raw); ok {
			p.Issues = append(p.Issues, i)
		}
	}
	return p, nil
}
