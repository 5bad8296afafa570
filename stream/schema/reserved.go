package schema

// Changed is the name of a document in a capped collection of events that
// only says that something changed elsewhere. It is no event, and as a name of
// one it would be malformed.
const Changed = "$changed"

// reserved are the names that mean something to clients of a stream.
var reserved = map[string]bool{
	// The Hund Live Event Stream v2.
	"init_event": true, "status_created": true, "degraded": true, "restored": true,
	"issue_created": true, "issue_updated": true, "issue_resolved": true, "issue_reopened": true,
	"issue_cancelled": true, "issue_started": true, "issue_ended": true,
	"cache_grown": true, "cache_rebuilt": true, "ping_event": true,
	// Additions to it.
	"page_changed": true, "messages_dropped": true, "token_expired": true,
	// What an EventSource itself fires.
	"open": true, "message": true, "error": true,
}

// Reserved reports whether an application may not use a name for its events.
func Reserved(name string) bool { return reserved[name] }
