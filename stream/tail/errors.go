package tail

import (
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"statustail/stream/mongodb"
)

// historyLost reports whether a stream cannot begin or go on at its place, and
// never will.
func historyLost(err error) bool {
	command := mongo.CommandError{}
	return errors.As(err, &command) && command.HasErrorLabel("NonResumableChangeStreamError") || mongodb.HasCode(err,
		mongodb.CodeInvalidResumeToken, mongodb.CodeChangeStreamFatal, mongodb.CodeHistoryLost,
		mongodb.CodeCappedPositionLost, mongodb.CodeObjectTooLarge, mongodb.CodeResumePointGone,
		mongodb.CodeResumePointNotFound, mongodb.CodeResumeTokenNotFound, mongodb.CodeResumeTokenUnreadable,
		mongodb.CodeResumeTokenMalformed)
}

// unsupported reports whether the server has no change streams at all: a
// standalone mongod, or a database that only speaks like one.
func unsupported(err error) bool {
	return errors.Is(err, errStandalone) || mongodb.HasCode(err, mongodb.CodeOnlyOnReplicaSets, mongodb.CodeUnknownStage, mongodb.CodeNotImplemented)
}

func unauthorized(err error) bool {
	return mongodb.HasCode(err, mongodb.CodeUnauthorized, mongodb.CodeAuthenticationFailed)
}

// explain adds what an operator can do, where that is known.
func explain(err error, database string) error {
	switch mongodb.Code(err) {
	case mongodb.CodeUnauthorized:
		return fmt.Errorf(`the user may not watch the database %q: grant the privilege actions "changeStream" and "find" on it, docs/mongodb.md has a role (%w)`, database, err)
	case mongodb.CodeAuthenticationFailed:
		return fmt.Errorf("the user or its password is wrong, or authSource is missing in the URI (%w)", err)
	}
	return err
}
