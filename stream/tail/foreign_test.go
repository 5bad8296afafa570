package tail

import (
	"errors"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/change"
	"statustail/stream/mongodb/mongodbtest"
)

type deaf struct{}

func (deaf) Opened(from, now change.Position) {}
func (deaf) Hint(change.Hint)                 {}
func (deaf) Message(change.Message)           {}
func (deaf) Reached(change.Position)          {}
func (deaf) Lost(error)                       {}

// Without times in its tokens a stream would be followed for ever and never
// have caught up: that is told at once.
func TestTokensOfAnotherForm(t *testing.T) {
	for _, data := range []any{"020000000E", bson.Binary{Data: []byte{1, 2, 3}}} {
		s := mongodbtest.Start(t, mongodbtest.Config{Clustered: true, Script: func(name string, _ bson.Raw) bson.D {
			if name != "aggregate" {
				return nil
			}
			return bson.D{{Key: "cursor", Value: bson.D{
				{Key: "firstBatch", Value: bson.A{}}, {Key: "id", Value: int64(7)}, {Key: "ns", Value: "statustail.$cmd.aggregate"},
				{Key: "postBatchResumeToken", Value: bson.D{{Key: "_data", Value: data}}},
			}}}
		}})
		err := NewChangeStream(Config{Client: s.Client(), Database: "statustail"}).Follow(t.Context(), deaf{})
		if !errors.Is(err, errForeignToken) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: got %v, want a line about the tokens", data, err)
		}
	}
}
