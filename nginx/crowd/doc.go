// Package crowd is many subscribers in one process, for tests and measures:
// each behaves like a browser's EventSource over HTTP/1.1, and costs its
// descriptor and a few hundred bytes. Linux only.
//
// It must never know what the events mean.
package crowd
