// Package convergence holds the whole server to its promise: whatever dies,
// every browser is right again, and no message is lost in silence. It is all
// tests.
package convergence
