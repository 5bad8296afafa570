//go:build !race

package contract

const slow = false
