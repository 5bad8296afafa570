// Package mongodb is what everything that speaks to MongoDB shares: what a
// deployment can do, what its errors mean, and how its values look outside of
// it, as ids and as JSON.
//
// It must never know what the documents are about.
package mongodb
