package replset

import (
	"errors"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Codes of MongoDB's errors: src/mongo/base/error_codes.yml of the server.
const (
	codeInternal             = 1
	codeBadValue             = 2
	codeFailedToParse        = 9
	codeTypeMismatch         = 14
	codeOverflow             = 15
	codeIllegalOperation     = 20
	codeNamespaceNotFound    = 26
	codeCursorNotFound       = 43
	codeNamespaceExists      = 48
	codeMaxTimeExpired       = 50
	codeImmutableField       = 66
	codeInvalidOptions       = 72
	codeUnsatisfiableConcern = 100
	codeTransactionTooOld    = 225
	codeNotImplemented       = 238
	codeInvalidResumeToken   = 260
	codeChangeStreamFatal    = 280
	codeHistoryLost          = 286
	codeObjectTooLarge       = 10334
	codeDuplicateKey         = 11000
	codeOutOfDiskSpace       = 14031
	codeSeveralStarts        = 40674
)

var codeNames = map[int32]string{
	codeInternal: "InternalError", codeBadValue: "BadValue", codeFailedToParse: "FailedToParse", codeTypeMismatch: "TypeMismatch",
	codeOverflow: "Overflow", codeIllegalOperation: "IllegalOperation", codeNamespaceNotFound: "NamespaceNotFound",
	codeCursorNotFound: "CursorNotFound", codeNamespaceExists: "NamespaceExists", codeMaxTimeExpired: "MaxTimeMSExpired",
	codeImmutableField: "ImmutableField", codeInvalidOptions: "InvalidOptions", codeUnsatisfiableConcern: "UnsatisfiableWriteConcern",
	codeTransactionTooOld: "TransactionTooOld", codeNotImplemented: "NotImplemented", codeInvalidResumeToken: "InvalidResumeToken",
	codeChangeStreamFatal: "ChangeStreamFatalError", codeHistoryLost: "ChangeStreamHistoryLost", codeObjectTooLarge: "BSONObjectTooLarge",
	codeDuplicateKey: "DuplicateKey", codeOutOfDiskSpace: "OutOfDiskSpace",
}

// An Error is a reply that says no.
type Error struct {
	Code    int32
	Name    string
	Message string
	Labels  []string
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%d): %s", e.Name, e.Code, e.Message) }

// nonResumable is the label of errors after which a change stream cannot go
// on where it was.
const nonResumable = "NonResumableChangeStreamError"

func errorf(code int32, format string, args ...any) *Error {
	name, ok := codeNames[code]
	if !ok {
		name = fmt.Sprintf("Location%d", code)
	}
	return &Error{Code: code, Name: name, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) labelled(labels ...string) *Error {
	e.Labels = labels
	return e
}

func (e *Error) reply() bson.D {
	reply := d("ok", 0.0, "errmsg", e.Message, "code", e.Code, "codeName", e.Name)
	if len(e.Labels) > 0 {
		reply = append(d("errorLabels", e.Labels), reply...)
	}
	return reply
}

func ok(fields ...any) bson.D { return append(d(fields...), bson.E{Key: "ok", Value: 1.0}) }

// longestMessage is how much of an error's text is passed on: the backend
// quotes whole documents.
const longestMessage = 400

// refusal is the error in a reply of the backend, nil if there is none. What
// it says of its own source code is left out.
func refusal(reply bson.Raw) error {
	if n, _ := reply.Lookup("ok").AsFloat64OK(); n == 1 {
		return nil
	}
	message, _ := reply.Lookup("errmsg").StringValueOK()
	code, _ := reply.Lookup("code").AsInt64OK()
	return backendError(int32(code), message)
}

// diskFull is how SQLite says it.
const diskFull = "database or disk is full"

func backendError(code int32, message string) *Error {
	if code == codeInternal {
		for strings.HasPrefix(message, "[") {
			_, rest, found := strings.Cut(message, "] ")
			if !found {
				break
			}
			message = rest
		}
	}
	switch {
	case strings.Contains(message, "UNIQUE constraint failed"):
		return errorf(codeDuplicateKey, "E11000 duplicate key error: %s", clip(message))
	case strings.Contains(message, diskFull):
		return errorf(codeOutOfDiskSpace, "the embedded database has no space left on its disk")
	case code == codeNotImplemented:
		message = "the embedded database cannot do this: " + message
	}
	return errorf(code, "%s", clip(message))
}

func isCode(err error, code int32) bool {
	refused := (*Error)(nil)
	return errors.As(err, &refused) && refused.Code == code
}

func clip(s string) string {
	if len(s) > longestMessage {
		return strings.ToValidUTF8(s[:longestMessage], "") + "…"
	}
	return s
}
