// Package change is the vocabulary of what travels from the database towards
// the browsers: where the tail stands (Position), that something changed
// (Hint), what an application wants to tell its readers (Message), how far a
// reader has got in the messages (EventID, Recovery), and what a channel shows
// (Source, Publication).
//
// It is a leaf: it must never know who produces or consumes these, how a
// status page looks, or how any database or wire protocol works.
package change

import (
	"time"

	"statustail/stream/schema"
)

// The collections whose changes matter.
const (
	Pages      = schema.Pages
	Components = schema.Components
	Issues     = schema.Issues
	Events     = schema.Events
)

// A Hint says that a document changed, and nothing about how: it may be
// missed, doubled, reordered or merged with others without harm, because
// whoever receives it reads the truth from the database.
type Hint struct {
	// Collection is Pages, Components or Issues.
	Collection string
	// Page is the slug of the page the document names now. It is empty when
	// unknown: a delete carries only the id. For the collection Pages it is
	// always the id itself.
	Page string
	// ID is the document's id as text (an ObjectID in hexadecimal).
	ID string
	// At is the position of the change.
	At Position
	// Touched says what of a page may have changed, for the collection Pages.
	Touched Touched
}

// Touched is what a change of a page may have touched.
type Touched uint8

const (
	// Identity: the page was inserted, deleted or replaced, or its private
	// was touched. What was said on it before is not for its readers now.
	Identity Touched = 1 << iota
	// Hosts: the custom hosts.
	Hosts
)

// A Message is an application event on its way to the subscribers of a page,
// already checked: its name is well formed and none of the protocol's, its
// data is one valid JSON value.
type Message struct {
	// ID is the id of its document as text; two deliveries of one message
	// have the same.
	ID string
	// Page is the slug of the page whose subscribers get it.
	Page string
	// Name becomes the event name of the stream.
	Name string
	// Key, unless empty, lets a later message with the same page, name and
	// key replace this one for readers that lag.
	Key string
	// Data is compact JSON.
	Data []byte
	// CreatedAt is when the application wrote it, by its own clock.
	CreatedAt time.Time
	// At is the position of the insert.
	At Position
}
