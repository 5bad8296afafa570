package change

import "time"

// A Recovery is what an init_event says about the messages before it.
type Recovery uint8

const (
	// Fresh says nothing: the connection has not had any before.
	Fresh Recovery = iota
	// Recovered: every message after the client's id follows.
	Recovered
	// Unrecovered: some may be missing.
	Unrecovered
)

// A Moment is when something is encoded, and how true it is then.
type Moment struct {
	Now time.Time
	// StaleSince is since when the state may no longer be true; zero while
	// it is.
	StaleSince time.Time
}

// A Source is what a channel shows until it is given another. Its methods are
// called with the channel locked: they are quick, do not call back into the
// channel, and wait for no lock that is held while publishing. The frames that
// they return never change afterwards, and have no id: lines.
type Source interface {
	// Snapshot encodes the event that every connection begins with. It comes
	// in parts, so that all connections can share the large one.
	Snapshot(now time.Time, r Recovery) [][]byte
	// Ping encodes the event that shows that the connection is alive.
	Ping(now time.Time) []byte
	// Dropped encodes the event which says that n messages were left out.
	Dropped(n int) []byte
}

// A Publication is what changes on a channel at one moment: a subscriber sees
// either the old source's snapshot and then the frames, or the new one's.
type Publication struct {
	// Source takes the place of the channel's; nil leaves it.
	Source Source
	// Frames are whole events, without id: lines. They go to those who are
	// connected and are not kept.
	Frames [][]byte
}
