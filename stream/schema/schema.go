// Package schema is the written rules of the documents, each in one place:
// what the collections are called, what a slug and the name of an event may
// look like, which names are taken, and how much of anything there may be.
// docs/data.md tells them to those who write the documents.
//
// It is a leaf: it must never know how documents are read, written, followed
// or shown.
package schema

import "regexp"

// The collections. A server reads and follows these four and no others.
const (
	Pages      = "pages"
	Components = "components"
	Issues     = "issues"
	Events     = "events"
)

// Collections are all of them.
var Collections = []string{Pages, Components, Issues, Events}

// The patterns of what is part of an address or of a frame, as regular
// expressions that Go, JavaScript and MongoDB read the same way.
const (
	// SlugPattern is what the _id of a page looks like. It is a label of a
	// host name (RFC 1123) and begins no path of the server's own, which all
	// lie under /-/.
	SlugPattern = `^[a-z0-9][a-z0-9-]{0,62}$`
	// EventNamePattern is what an application may call an event: a word that
	// can forge neither a line of a frame nor markup.
	EventNamePattern = `^[a-z][a-z0-9_.-]{0,63}$`
)

var (
	slug      = regexp.MustCompile(SlugPattern)
	eventName = regexp.MustCompile(EventNamePattern)
)

// IsSlug reports whether s can be the _id of a page.
func IsSlug(s string) bool { return slug.MatchString(s) }

// IsEventName reports whether s is well formed as the name of an event. It may
// still be reserved.
func IsEventName(s string) bool { return eventName.MatchString(s) }
