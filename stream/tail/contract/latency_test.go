//go:build !noembed

package contract

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/schema"
	"statustail/stream/tail"
)

// From the acknowledged write to the sink.
func BenchmarkLatency(b *testing.B) {
	cs, _ := changeStreamCase(b)
	for name, c := range map[string]Case{"embedded": embeddedCase(b), "changestream": cs} {
		b.Run(name, func(b *testing.B) {
			r, stop := Follow(b, c.New(tail.Config{Client: c.Client, Database: c.Database}))
			defer stop()
			r.WaitReady()
			var took []time.Duration
			for i := range b.N {
				id := fmt.Sprintf("%s-%d-%d", name, b.N, i)
				_, n, _ := r.Count()
				must(c.db().Collection(schema.Issues).InsertOne(b.Context(), bson.D{{Key: "_id", Value: id}, {Key: "page", Value: "acme"}}))(b)
				began := time.Now()
				r.WaitHint(n, schema.Issues, "acme", id)
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2])/1e6, "median-ms")
			b.ReportMetric(float64(took[len(took)*99/100])/1e6, "p99-ms")
		})
	}
}
