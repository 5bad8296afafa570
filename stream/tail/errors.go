package tail

import (
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/mongo"
)

// Codes of MongoDB's errors; the list is src/mongo/base/error_codes.yml of the
// server. Those of five digits are the numbers of assertions in old servers.
const (
	codeUnauthorized          = 13
	codeAuthenticationFailed  = 18
	codeCappedPositionLost    = 136
	codeQueryPlanKilled       = 175
	codeNotImplemented        = 238
	codeInvalidResumeToken    = 260
	codeChangeStreamFatal     = 280
	codeHistoryLost           = 286
	codeObjectTooLarge        = 10334
	codeUnknownStage          = 40324
	codeOnlyOnReplicaSets     = 40573
	codeResumePointGone       = 40576
	codeResumePointNotFound   = 40585
	codeResumeTokenNotFound   = 40615
	codeResumeTokenUnreadable = 50811
	codeResumeTokenMalformed  = 50816
)

func code(err error) int {
	var failed mongo.CommandError
	if errors.As(err, &failed) {
		return int(failed.Code)
	}
	return 0
}

// historyLost reports whether a stream cannot begin or go on at its place, and
// never will.
func historyLost(err error) bool {
	var failed mongo.CommandError
	if !errors.As(err, &failed) {
		return false
	}
	return failed.HasErrorLabel("NonResumableChangeStreamError") || slices.Contains([]int{
		codeInvalidResumeToken, codeChangeStreamFatal, codeHistoryLost, codeCappedPositionLost, codeObjectTooLarge,
		codeResumePointGone, codeResumePointNotFound, codeResumeTokenNotFound, codeResumeTokenUnreadable, codeResumeTokenMalformed,
	}, int(failed.Code))
}

// unsupported reports whether the server has no change streams at all: a
// standalone mongod, or a database that only speaks like one.
func unsupported(err error) bool {
	if errors.Is(err, errStandalone) {
		return true
	}
	switch code(err) {
	case codeOnlyOnReplicaSets, codeUnknownStage, codeNotImplemented:
		return true
	}
	return false
}

func unauthorized(err error) bool {
	c := code(err)
	return c == codeUnauthorized || c == codeAuthenticationFailed
}

// retryable reports whether the server says itself that it will be better
// later.
func retryable(err mongo.CommandError) bool {
	return err.HasErrorLabel("ResumableChangeStreamError") || err.HasErrorLabel("RetryableWriteError") ||
		err.HasErrorLabel("RetryableError") || slices.Contains(passing, int(err.Code))
}

// passing are the codes that every driver retries: a node that shuts down, is
// not or no longer the primary, cannot be reached, or ran out of time.
var passing = []int{6, 7, 43, 50, 63, 89, 91, 133, 134, 150, 189, 234, 262, 9001, 10107, 11600, 11602, 13388, 13435, 13436}

// explain adds what an operator can do, where that is known.
func explain(err error, database string) error {
	switch code(err) {
	case codeUnauthorized:
		return fmt.Errorf(`the user may not watch the database %q: grant the privilege actions "changeStream" and "find" on it, docs/mongodb.md has a role (%w)`, database, err)
	case codeAuthenticationFailed:
		return fmt.Errorf("the user or its password is wrong, or authSource is missing in the URI (%w)", err)
	}
	return err
}
