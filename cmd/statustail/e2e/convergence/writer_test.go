//go:build !race

package convergence

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// A writer does to a database what applications do, at random. A write that
// fails may have happened or not: nobody here needs to know, but for the
// messages, which are counted.
type writer struct {
	t     *testing.T
	db    *mongo.Database
	rand  *rand.Rand
	pages []string
	// numbers holds how many messages of each page are in the database.
	numbers map[string]int
	ids     int
	failed  int
}

var states = []any{"operational", "degraded", "partial_outage", "outage", nil}

func (w *writer) page() string      { return w.pages[w.rand.IntN(len(w.pages))] }
func (w *writer) state() any        { return states[w.rand.IntN(len(states))] }
func (w *writer) newID() string     { w.ids++; return fmt.Sprintf("x%d", w.ids) }
func (w *writer) someIssue() bson.M { return bson.M{"_id": fmt.Sprintf("x%d", w.rand.IntN(w.ids+1))} }

// components of a page, as far as they have not been deleted.
func component(page string, n int) string { return fmt.Sprintf("%s-c%d", page, n) }

// prepare writes the pages. It must succeed.
func (w *writer) prepare(ctx context.Context) {
	w.t.Helper()
	for _, page := range w.pages {
		w.must(w.putPage(ctx, page))
		for n := range 4 {
			w.must(w.putComponent(ctx, page, n))
		}
	}
}

func (w *writer) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *writer) putPage(ctx context.Context, page string) error {
	_, err := w.db.Collection("pages").UpdateOne(ctx, bson.M{"_id": page},
		bson.M{"$set": bson.M{"name": fmt.Sprintf("Page %d", w.rand.IntN(5)), "origins": bson.A{"*"}, "created_at": time.Now()}}, upsert)
	return err
}

func (w *writer) putComponent(ctx context.Context, page string, n int) error {
	id := component(page, n)
	_, err := w.db.Collection("components").UpdateOne(ctx, bson.M{"_id": id},
		bson.M{"$set": bson.M{"page": page, "name": id, "position": n, "state": "operational"}}, upsert)
	return err
}

func (w *writer) issue(page string) bson.M {
	now := time.Now()
	issue := bson.M{
		"page": page, "title": fmt.Sprintf("Issue %d", w.rand.IntN(1000)), "body": "It is *so*.", "label": "Investigating",
		"kind": "incident", "state": w.state(), "created_at": now, "updated_at": now,
		"components": bson.A{component(page, w.rand.IntN(4))},
	}
	if w.rand.IntN(4) == 0 {
		starts := now.Add(time.Duration(w.rand.IntN(10)-3) * time.Second)
		issue["kind"], issue["schedule"] = "maintenance", bson.M{"starts_at": starts, "ends_at": starts.Add(time.Duration(1+w.rand.IntN(10)) * time.Second)}
	}
	return issue
}

// step makes one write.
func (w *writer) step(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	issues, components := w.db.Collection("issues"), w.db.Collection("components")
	now := time.Now()
	var err error
	switch n := w.rand.IntN(100); {
	case n < 30:
		w.publish(ctx, w.page())
	case n < 45:
		issue := w.issue(w.page())
		issue["_id"] = w.newID()
		_, err = issues.InsertOne(ctx, issue)
	case n < 58:
		_, err = issues.UpdateOne(ctx, w.someIssue(), bson.M{
			"$push": bson.M{"updates": bson.M{"_id": w.newID(), "label": "Update", "body": "More.", "state": w.state(), "created_at": now}},
			"$set":  bson.M{"updated_at": now}})
	case n < 66:
		_, err = issues.UpdateOne(ctx, w.someIssue(), bson.M{"$set": bson.M{"resolved_at": now, "updated_at": now}})
	case n < 70:
		_, err = issues.UpdateOne(ctx, w.someIssue(), bson.M{"$unset": bson.M{"resolved_at": ""}})
	case n < 75: // moved to another page
		page := w.page()
		_, err = issues.UpdateOne(ctx, w.someIssue(), bson.M{"$set": bson.M{"page": page, "components": bson.A{component(page, 0)}}})
	case n < 79:
		_, err = issues.ReplaceOne(ctx, w.someIssue(), w.issue(w.page()))
	case n < 84:
		_, err = issues.DeleteOne(ctx, w.someIssue())
	case n < 93:
		state := states[w.rand.IntN(4)]
		_, err = components.UpdateOne(ctx, bson.M{"_id": component(w.page(), w.rand.IntN(4))},
			bson.M{"$set": bson.M{"state": state}, "$push": bson.M{"history": bson.M{"state": state, "at": now}}})
	case n < 95:
		_, err = components.DeleteOne(ctx, bson.M{"_id": component(w.page(), w.rand.IntN(4))})
	case n < 97:
		err = w.putComponent(ctx, w.page(), w.rand.IntN(4))
	case n < 98:
		err = w.putPage(ctx, w.page())
	case n < 99: // many at once
		_, err = issues.UpdateMany(ctx, bson.M{"page": w.page()}, bson.M{"$set": bson.M{"title": "All of them"}})
	default:
		_, err = issues.DeleteMany(ctx, bson.M{"page": w.page(), "resolved_at": bson.M{"$ne": nil}})
	}
	if err != nil {
		w.failed++
	}
}

// publish writes the page's next message, and goes on until it is certain to
// be in the database.
func (w *writer) publish(ctx context.Context, page string) {
	n := w.numbers[page]
	event := bson.M{"_id": fmt.Sprintf("%s-%d", page, n), "page": page, "name": message, "data": n, "created_at": time.Now()}
	for {
		_, err := w.db.Collection("events").InsertOne(ctx, event)
		if err == nil || mongo.IsDuplicateKeyError(err) {
			w.numbers[page]++
			return
		}
		w.failed++
		if ctx.Err() != nil {
			// It may yet be there; the next of this page settles that.
			return
		}
	}
}

// dropIssues drops the collection, as somebody might by hand.
func (w *writer) dropIssues(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := w.db.Collection("issues").Drop(ctx); err != nil {
		w.failed++
	}
}
