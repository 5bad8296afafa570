//go:build race

package embedded

// The race detector makes the database about fifteen times slower.
const slow = true
