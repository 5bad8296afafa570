//go:build !race

package embedded

const slow = false
