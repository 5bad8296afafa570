package store

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/status"
)

// DemoPage is the slug of the page that SeedDemo makes.
const DemoPage = "demo"

// SeedDemo makes a page to try things on, if the database has no page at all,
// and says whether it did. The page comes last, with fixed ids before it, so
// a start that was cut short is repeated, not doubled.
func (s *Store) SeedDemo(ctx context.Context) (created bool, err error) {
	err = s.pages().FindOne(ctx, bson.D{}, options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}})).Err()
	if err != mongo.ErrNoDocuments {
		return false, s.explain("look for pages", err)
	}
	now := s.clock()
	since := now.Add(-status.Window)
	for i, c := range []struct{ id, name, description string }{
		{"demo-api", "API", "What your programs talk to."},
		{"demo-website", "Website", "What your customers see."},
		{"demo-database", "Database", "Where everything is kept."},
	} {
		_, err := s.components().ReplaceOne(ctx, bson.D{{Key: "_id", Value: c.id}}, bson.D{
			{Key: "page", Value: DemoPage},
			{Key: "name", Value: c.name},
			{Key: "description", Value: c.description},
			{Key: "position", Value: int32(i + 1)},
			{Key: "state", Value: status.Operational.String()},
			{Key: "history", Value: demoHistory(since, i)},
			{Key: "created_at", Value: since},
			{Key: "updated_at", Value: now},
		}, options.Replace().SetUpsert(true))
		if err != nil {
			return false, s.explain("make the demo page", err)
		}
	}
	_, err = s.pages().InsertOne(ctx, bson.D{
		{Key: "_id", Value: DemoPage},
		{Key: "name", Value: "Demo"},
		{Key: "origins", Value: bson.A{"*"}},
		{Key: "locale", Value: "en"},
		{Key: "time_zone", Value: "UTC"},
		{Key: "created_at", Value: since},
		{Key: "updated_at", Value: now},
	})
	if mongo.IsDuplicateKeyError(err) { // another server was quicker
		return false, nil
	}
	if err != nil {
		return false, s.explain("make the demo page", err)
	}
	s.changed(ctx, DemoPage)
	return true, nil
}

// demoHistory lets one of the components have been down for a while, so that
// its uptime is a number to look at.
func demoHistory(since time.Time, component int) bson.A {
	history := bson.A{stateChange(status.Operational, since)}
	if component == 2 {
		bad := since.Add(20 * 24 * time.Hour)
		history = append(history,
			stateChange(status.Outage, bad),
			stateChange(status.Operational, bad.Add(25*time.Minute)))
	}
	return history
}
