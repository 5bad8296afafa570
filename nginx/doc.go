// Package nginx holds the nginx configuration that is shipped, and the tests
// that prove it: they run the real nginx with the shipped files, the real
// statustail behind it, and a real browser before it.
//
// It must never know how statustail works inside. What it knows is what
// operators know: flags, addresses, the protocol.
package nginx
