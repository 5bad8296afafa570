// Package fanout is the engine that brings events to browsers: channels with
// a replay ring each, their subscribers, pings, slow readers, limits, parking
// and draining. It speaks Server-Sent Events over HTTP.
//
// It knows frames and positions. It must never know what a status page is,
// what a frame says, where positions come from, or that there is a database.
//
// DESIGN.md says why it is built the way it is.
package fanout
