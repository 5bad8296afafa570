//go:build race

package contract

// The race detector makes the database about fifteen times slower.
const slow = true
