package replset

import (
	"bytes"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/wiremessage"
)

// A Command is a request of a client.
type Command struct {
	// Name and DB are what to do, and in which database.
	Name, DB string
	// Body is the whole command but for its sequences.
	Body bson.Raw
	// sequences are documents sent beside the body, by the field they are of.
	sequences map[string][]bson.Raw
	// silent says that the client wants no reply.
	silent bool
	// invalid is why the command must not be looked at any further.
	invalid error
}

// NewCommand is a command that no client sent.
func NewCommand(db string, body bson.Raw) (*Command, error) {
	cmd := &Command{DB: db, Body: body}
	if err := cmd.check(); err != nil {
		return nil, err
	}
	return cmd, cmd.invalid
}

// Get is the value of a field, zero if there is none.
func (cmd *Command) Get(path ...string) bson.RawValue { return cmd.Body.Lookup(path...) }

// text is the value of a string field, empty if it is none.
func (cmd *Command) text(field string) string {
	s, _ := cmd.Get(field).StringValueOK()
	return s
}

// statements are those of a write, in number between one and maxStatements.
func (cmd *Command) statements(field string) ([]bson.Raw, error) {
	docs, err := cmd.documents(field)
	if err == nil && (len(docs) == 0 || len(docs) > maxStatements) {
		err = errorf(codeBadValue, "Write batch sizes must be between 1 and %d. Got %d operations.", maxStatements, len(docs))
	}
	return docs, err
}

// documents are the documents of a field that may come as an array or as a
// sequence.
func (cmd *Command) documents(field string) ([]bson.Raw, error) {
	if docs, ok := cmd.sequences[field]; ok {
		return docs, nil
	}
	array, ok := cmd.Get(field).ArrayOK()
	if !ok {
		return nil, errorf(codeTypeMismatch, "%s: want an array of documents in %s", cmd.Name, field)
	}
	values, _ := array.Values()
	docs := make([]bson.Raw, len(values))
	for i, v := range values {
		if docs[i], ok = v.DocumentOK(); !ok {
			return nil, errorf(codeTypeMismatch, "%s: %s.%d is no document", cmd.Name, field, i)
		}
	}
	return docs, nil
}

// parse reads a command. An error means that the bytes are no message.
func parse(req request) (*Command, error) {
	switch req.opcode {
	case wiremessage.OpMsg:
		return parseMsg(req.payload)
	case opQuery: // flags, a name that ends in 0, two numbers, and the document
		_, rem, found := bytes.Cut(req.payload[min(4, len(req.payload)):], []byte{0})
		if !found || len(rem) < 8 {
			return nil, errMalformed
		}
		doc, _, ok := bsoncore.ReadDocument(rem[8:])
		if !ok {
			return nil, errMalformed
		}
		cmd := &Command{DB: "admin", Body: bson.Raw(doc)}
		return cmd, cmd.check()
	}
	return nil, errMalformed
}

func parseMsg(b []byte) (*Command, error) {
	flags, rem, ok := wiremessage.ReadMsgFlags(b)
	if !ok {
		return nil, errMalformed
	}
	cmd := &Command{silent: flags&wiremessage.MoreToCome != 0}
	if flags&wiremessage.ChecksumPresent != 0 {
		if len(rem) < 4 {
			return nil, errMalformed
		}
		rem = rem[:len(rem)-4]
	}
	for len(rem) > 0 {
		var kind wiremessage.SectionType
		if kind, rem, ok = wiremessage.ReadMsgSectionType(rem); !ok {
			return nil, errMalformed
		}
		switch kind {
		case wiremessage.SingleDocument:
			var doc bsoncore.Document
			if doc, rem, ok = wiremessage.ReadMsgSectionSingleDocument(rem); !ok || cmd.Body != nil {
				return nil, errMalformed
			}
			cmd.Body = bson.Raw(doc)
		case wiremessage.DocumentSequence:
			var name string
			var docs []bsoncore.Document
			if name, docs, rem, ok = wiremessage.ReadMsgSectionDocumentSequence(rem); !ok {
				return nil, errMalformed
			}
			if cmd.sequences == nil {
				cmd.sequences = make(map[string][]bson.Raw)
			}
			raws := make([]bson.Raw, len(docs))
			for i, doc := range docs {
				raws[i] = bson.Raw(doc)
			}
			cmd.sequences[name] = raws
		default:
			return nil, errMalformed
		}
	}
	return cmd, cmd.check()
}

// check looks at every byte of the command, so that nothing after it has to.
func (cmd *Command) check() error {
	first, err := cmd.Body.IndexErr(0)
	if err != nil {
		return errMalformed
	}
	cmd.Name = first.Key()
	docs := []bson.Raw{cmd.Body}
	for _, sequence := range cmd.sequences {
		docs = append(docs, sequence...)
	}
	for i, doc := range docs {
		if size := len(doc); size > maxBody || i > 0 && size > maxDocument {
			cmd.invalid = errorf(codeObjectTooLarge, "%s: a document of %d bytes: at most %d fit", cmd.Name, size, maxDocument)
		}
		switch err := check(bsoncore.Document(doc), 1); {
		case errors.Is(err, errMalformed):
			return err
		case err != nil:
			cmd.invalid = err
		}
	}
	if cmd.DB == "" {
		cmd.DB, _ = cmd.Get("$db").StringValueOK()
	}
	return nil
}

// check validates a document without recursing deeper than is allowed.
func check(doc bsoncore.Document, depth int) error {
	if depth > maxDepth {
		return errorf(codeOverflow, "nested deeper than %d documents", maxDepth)
	}
	length, rem, ok := bsoncore.ReadLength(doc)
	if !ok || int(length) != len(doc) || length < 5 || doc[length-1] != 0 {
		return errMalformed
	}
	for rem = rem[:len(rem)-1]; len(rem) > 0; {
		var e bsoncore.Element
		if e, rem, ok = bsoncore.ReadElement(rem); !ok {
			return errMalformed
		}
		v, err := e.ValueErr()
		if err != nil {
			return errMalformed
		}
		switch v.Type {
		case bsoncore.TypeEmbeddedDocument, bsoncore.TypeArray:
			if err := check(bsoncore.Document(v.Data), depth+1); err != nil {
				return err
			}
		case bsoncore.TypeDecimal128, bsoncore.TypeMinKey, bsoncore.TypeMaxKey, bsoncore.TypeUndefined,
			bsoncore.TypeDBPointer, bsoncore.TypeSymbol, bsoncore.TypeJavaScript, bsoncore.TypeCodeWithScope:
			return errorf(codeNotImplemented, "%.100s: the embedded database has no values of type %s", e.Key(), v.Type)
		default:
			if v.Validate() != nil {
				return errMalformed
			}
		}
	}
	return nil
}
