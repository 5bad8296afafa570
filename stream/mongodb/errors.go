package mongodb

import (
	"errors"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"
)

// Codes of servers' errors; the list is src/mongo/base/error_codes.yml of
// MongoDB. Those of five digits are the numbers of assertions in old servers.
const (
	CodeInternalError         = 1
	CodeUnauthorized          = 13
	CodeAuthenticationFailed  = 18
	CodeIndexNotFound         = 27
	CodeCursorNotFound        = 43
	CodeNamespaceExists       = 48
	CodeMaxTimeExpired        = 50
	CodeCommandNotFound       = 59
	CodeInvalidOptions        = 72
	CodeIndexOptionsConflict  = 85
	CodeIndexKeySpecsConflict = 86
	CodeNotSupported          = 115
	CodeDocumentValidation    = 121
	CodeCappedPositionLost    = 136
	CodeQueryPlanKilled       = 175
	CodeNotImplemented        = 238
	CodeInvalidResumeToken    = 260
	CodeChangeStreamFatal     = 280
	CodeHistoryLost           = 286
	CodeFeatureMissing        = 303 // other makers' servers that speak the protocol
	CodeObjectTooLarge        = 10334
	CodeDuplicateKey          = 11000
	CodeUnknownStage          = 40324
	CodeOnlyOnReplicaSets     = 40573
	CodeResumePointGone       = 40576
	CodeResumePointNotFound   = 40585
	CodeResumeTokenNotFound   = 40615
	CodeResumeTokenUnreadable = 50811
	CodeResumeTokenMalformed  = 50816
)

// Code is the code of a command that the server refused, and 0 for any other
// error.
func Code(err error) int {
	if command := (mongo.CommandError{}); errors.As(err, &command) {
		return int(command.Code)
	}
	return 0
}

// HasCode reports whether the server gave one of the codes, for a command or
// for a write inside of it.
func HasCode(err error, codes ...int) bool {
	var server mongo.ServerError
	return errors.As(err, &server) && slices.ContainsFunc(codes, server.HasErrorCode)
}

// IsNotImplemented reports whether the server does not know how to do what it
// was asked for.
func IsNotImplemented(err error) bool {
	return HasCode(err, CodeNotImplemented, CodeNotSupported, CodeCommandNotFound, CodeFeatureMissing)
}

// IsUnreachable reports whether an operation failed because no server could
// be found to ask.
func IsUnreachable(err error) bool {
	var selection topology.ServerSelectionError
	return errors.As(err, &selection)
}

// IsAhead reports whether a read was refused because the time that it was to
// come after lies ahead of the server's own clock: the deployment is not what
// it was, but a new one or a restored backup.
func IsAhead(err error) bool {
	command := mongo.CommandError{}
	return errors.As(err, &command) && command.Code == CodeInvalidOptions &&
		strings.Contains(command.Message, "afterClusterTime")
}

// passing are the codes that every driver retries: a node that shuts down, is
// not or no longer the primary, cannot be reached, or ran out of time.
var passing = []int{6, 7, CodeCursorNotFound, CodeMaxTimeExpired, 63, 89, 91, 133, 134, 150, 189, 234, 262, 9001, 10107, 11600, 11602, 13388, 13435, 13436}

// IsPassing reports whether the server says itself that it will be better
// later.
func IsPassing(err error) bool {
	command := mongo.CommandError{}
	return errors.As(err, &command) && (command.HasErrorLabel("ResumableChangeStreamError") ||
		command.HasErrorLabel("RetryableWriteError") || command.HasErrorLabel("RetryableError") ||
		slices.Contains(passing, int(command.Code)))
}
