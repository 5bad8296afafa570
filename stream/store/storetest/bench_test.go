package storetest

import (
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// BenchmarkLoad reads and decodes one page with a month of incidents on it.
func BenchmarkLoad(b *testing.B) {
	f := open(b)
	f.page("acme", "API", "Website", "Database")
	for i := range 20 {
		updates := bson.A{}
		for j := range 5 {
			updates = append(updates, bson.D{{Key: "_id", Value: bson.NewObjectID()}, {Key: "label", Value: "Update"},
				{Key: "body", Value: fmt.Sprintf("We *look* at [it](https://example.com/%d), part %d.", i, j)}, {Key: "created_at", Value: f.clock.Now()}})
		}
		f.insert("issues", bson.D{{Key: "page", Value: "acme"}, {Key: "title", Value: "Heavy load"}, {Key: "created_at", Value: f.clock.Now()},
			{Key: "resolved_at", Value: f.clock.Now().Add(-time.Duration(i*4*24) * time.Hour)}, {Key: "updates", Value: updates}})
	}
	if _, err := f.SetComponentState(f.ctx, "acme", "API", "degraded"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		pages, _, err := f.Load(f.ctx, []string{"acme"}, 0)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := pages["acme"].Decode(); err != nil {
			b.Fatal(err)
		}
	}
}
