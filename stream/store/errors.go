package store

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"statustail/stream/mongodb"
)

// An InputError is the fault of whoever asked: a value that cannot be, as
// opposed to something that failed. Nothing was written.
type InputError struct {
	// Field is what the value was for, in the words of the schema.
	Field string
	// Reason says what is wrong with it, and what would be right.
	Reason string
}

func (e *InputError) Error() string { return e.Field + " " + e.Reason }

func invalid(field, format string, args ...any) error {
	return &InputError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// A NotFoundError says that what a write was for does not exist. Nothing was
// written.
type NotFoundError struct{ Reason string }

func (e *NotFoundError) Error() string { return e.Reason }

// A ConflictError says that what a write was for is not in a condition for
// it, or not one thing but several. Nothing was written.
type ConflictError struct{ Reason string }

func (e *ConflictError) Error() string { return e.Reason }

func conflict(format string, args ...any) error {
	return &ConflictError{Reason: fmt.Sprintf(format, args...)}
}

// explain wraps an error of the database with what was attempted, and adds
// what an operator can do about the ones that an operator can do something
// about.
func (s *Store) explain(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case mongodb.HasCode(err, mongodb.CodeUnauthorized):
		return fmt.Errorf("%s: the user may not do this on database %q; grant it the role readWrite there, and for init dbAdmin too: %w", what, s.db.Name(), err)
	case mongodb.HasCode(err, mongodb.CodeDocumentValidation):
		return fmt.Errorf("%s: the database's validator refused the document; was it made by another version's init?: %w", what, err)
	case mongodb.IsUnreachable(err):
		return fmt.Errorf("%s: the database cannot be reached, nothing was written: %w", what, err)
	case errors.Is(err, context.DeadlineExceeded), mongo.IsTimeout(err):
		return fmt.Errorf("%s: no answer in time, and no telling whether it was done: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
