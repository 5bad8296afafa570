package store

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"statustail/stream/change"
	"statustail/stream/mongodb"
	"statustail/stream/mongodb/mongodbtest"
	"statustail/stream/schema"
)

// A secondary that does not get to the position soon enough is left for the
// primary, for the rest of the run.
func TestLaggingSecondary(t *testing.T) {
	var hosts atomic.Value // of the set, known once both listen
	hosts.Store(bson.A{})
	member := func(secondary bool) func(bson.D) bson.D {
		return func(hello bson.D) bson.D {
			var d bson.D
			for _, e := range hello {
				switch e.Key {
				case "isWritablePrimary", "ismaster":
					e.Value = !secondary
				case "hosts":
					e.Value = hosts.Load()
				}
				d = append(d, e)
			}
			return append(d, bson.E{Key: "secondary", Value: secondary})
		}
	}
	primary := mongodbtest.Start(t, mongodbtest.Config{Clustered: true, Script: acme, Hello: member(false)})
	never := make(chan struct{})
	defer close(never)
	lagging := mongodbtest.Start(t, mongodbtest.Config{Clustered: true, Hello: member(true), Script: func(name string, command bson.Raw) bson.D {
		if name == "find" {
			<-never
		}
		return nil
	}})
	hosts.Store(bson.A{primary.Addr(), lagging.Addr()})

	client := mongodbtest.Connect(t, "mongodb://"+primary.Addr()+","+lagging.Addr()+"/?replicaSet=rs0")
	s := New(client.Database("statustail"), Config{ReadPreference: readpref.Secondary()})
	s.lagWithin = 50 * time.Millisecond
	pages, _, err := s.Load(t.Context(), []string{"acme"}, change.NewPosition(5000, 7))
	if err != nil || len(pages) != 1 {
		t.Fatalf("%v, %v", pages, err)
	}
	if n := len(lagging.Asked("find")); n != 1 {
		t.Errorf("the secondary that lags was asked %d times, want once", n)
	}
	reads := primary.Asked("find")
	if len(reads) != 3 {
		t.Errorf("the primary was asked %d times, want 3", len(reads))
	}
	neverBefore(t, reads)
}

// A server whose clock is behind what was heard of it is told apart from one
// that fails.
func TestPositionAhead(t *testing.T) {
	f := startFake(t, true, func(name string, command bson.Raw) bson.D {
		if ts, _, ok := command.Lookup("readConcern", "afterClusterTime").TimestampOK(); ok && ts == 2_000_000_000 {
			return failure(mongodb.CodeInvalidOptions, "InvalidOptions", "readConcern afterClusterTime value must not be greater than the current clusterTime. "+
				"Requested clusterTime: { ts: Timestamp(2000000000, 1) }; current clusterTime: { ts: Timestamp(1000, 1) }")
		}
		return acme(name, command)
	})
	s, ctx := f.store(Config{}), t.Context()
	ahead := change.NewPosition(2_000_000_000, 1)
	for what, read := range map[string]func(change.Position) error{
		"Load": func(p change.Position) error { _, _, err := s.Load(ctx, []string{"acme"}, p); return err },
		"PastIncidents": func(p change.Position) error {
			_, err := s.PastIncidents(ctx, map[string][]string{"acme": {""}}, p)
			return err
		},
		"Hosts":  func(p change.Position) error { _, err := s.Hosts(ctx, []string{"a.example"}, p); return err },
		"Issues": func(p change.Position) error { _, err := s.Issues(ctx, []IssueRef{{"acme", "i1"}}, p); return err },
	} {
		if err := read(ahead); !errors.Is(err, change.ErrAhead) {
			t.Errorf("%s: got %v, want that the position lies ahead", what, err)
		}
		if err := read(0); err != nil {
			t.Errorf("%s begun anew: %v", what, err)
		}
	}
}

// A mongod that belongs to no set yet is asked again, and not taken for what
// it is not.
func TestWaitsForInitiate(t *testing.T) {
	var initiated atomic.Bool
	f := &fakeServer{mongodbtest.Start(t, mongodbtest.Config{Script: acme, Hello: func(hello bson.D) bson.D {
		if initiated.Load() {
			return append(hello, bson.E{Key: "setName", Value: "rs0"})
		}
		return append(hello, bson.E{Key: "isreplicaset", Value: true})
	}}), t}
	s := f.store(Config{})
	if _, _, err := s.Load(t.Context(), []string{"acme"}, 0); !errors.Is(err, mongodb.ErrUninitiated) {
		t.Errorf("got %v, want it said that rs.initiate() is missing", err)
	}
	initiated.Store(true)
	if _, _, err := s.Load(t.Context(), []string{"acme"}, change.NewPosition(5000, 7)); err != nil {
		t.Fatal(err)
	}
	for _, c := range f.asked("find") {
		if at(c, "readConcern", "afterClusterTime") == "missing" {
			t.Errorf("read as from a standalone: %s", c)
		}
	}
}

// Hosts that come together, as after a restart, are asked for together.
func TestManyHosts(t *testing.T) {
	f := startFake(t, true, func(name string, command bson.Raw) bson.D {
		if name != "find" {
			return nil
		}
		var docs []any
		values, _ := command.Lookup("filter", "hosts", "$in").Array().Values()
		for _, v := range values {
			host := v.StringValue()
			docs = append(docs, bson.D{{Key: "_id", Value: strings.TrimSuffix(host, ".example")}, {Key: "hosts", Value: bson.A{host, "else.example"}}})
		}
		return cursorOf("statustail.pages", docs...)
	})
	var hosts []string
	for i := range 500 {
		hosts = append(hosts, fmt.Sprintf("P-%d.example:443", i))
	}
	slugs, err := f.store(Config{}).Hosts(t.Context(), append(hosts, "no such host", ""), 0)
	if err != nil || len(slugs) != 500 || slugs["P-77.example:443"] != "p-77" {
		t.Errorf("%d hosts found, %v", len(slugs), err)
	}
	if n := len(f.asked("find")); n != 1 {
		t.Errorf("%d queries, want 1", n)
	}
}

// What is asked for by an id from a URL is a plain value, and, where the
// database has an index for nothing else, the only thing asked for.
func TestIssuesAskPlainly(t *testing.T) {
	f := startFake(t, true, acme)
	hostile := []string{
		`{"$minKey":1}`, `{"$regularExpression":{"pattern":"^","options":""}}`, `{"$ne":null}`, `{"$gt":""}`,
		`{"$oid":"65f000000000000000000001"}`, "65f000000000000000000001", "7", "30313233-3435-3637-3839-616263646566",
		strings.Repeat("x", 100_000),
	}
	var refs []IssueRef
	for _, id := range hostile {
		refs = append(refs, IssueRef{"acme", id})
	}
	if _, err := f.store(Config{}).Issues(t.Context(), refs, 0); err != nil {
		t.Fatal(err)
	}
	together := 0
	for _, c := range f.asked("find") {
		filter, _ := c.Lookup("filter").Document().Elements()
		if len(filter) != 1 || filter[0].Key() != "_id" {
			t.Errorf("asked for more than an id: %s", c)
			continue
		}
		switch v := filter[0].Value(); v.Type {
		case bson.TypeString:
			if len(v.StringValue()) > 1000 {
				t.Errorf("asked for an id of %d bytes", len(v.StringValue()))
			}
		case bson.TypeObjectID:
		case bson.TypeEmbeddedDocument:
			together++
			values, _ := v.Document().Lookup("$in").Array().Values()
			if len(values) != 2 || v.Document().Lookup("$in").Type == 0 {
				t.Errorf("asked for %s", v)
			}
			for _, one := range values {
				if one.Type != bson.TypeInt64 && one.Type != bson.TypeBinary {
					t.Errorf("asked for %s together with others", one)
				}
			}
		default:
			t.Errorf("asked for %s", v)
		}
	}
	if together != 1 {
		t.Errorf("numbers and UUIDs are asked for %d times, want once", together)
	}
}

// What is pushed to is cut in the same operation, and no more is read.
func TestListsAreBounded(t *testing.T) {
	f := startFake(t, true, acme)
	s := f.store(Config{})
	if _, err := s.SetComponentState(t.Context(), "acme", "API", "outage"); err != nil {
		t.Fatal(err)
	}
	if err := s.UpdateIssue(t.Context(), "i1", IssueUpdate{Body: "more"}); err != nil {
		t.Fatal(err)
	}
	if err := s.ResolveIssue(t.Context(), "i1", "done"); err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		list  string
		bound int
	}{{"history", schema.MaxHistory}, {"updates", schema.MaxUpdates}, {"updates", schema.MaxUpdates}} {
		push := f.asked("update")[i].Lookup("updates", "0", "u", "$push", want.list)
		slice, _ := push.Document().Lookup("$slice").AsInt64OK()
		each, _ := push.Document().Lookup("$each").ArrayOK()
		if values, _ := each.Values(); len(values) != 1 || slice != int64(-want.bound) {
			t.Errorf("%s is pushed to with %s", want.list, push)
		}
	}
	if _, _, err := s.Load(t.Context(), []string{"acme"}, 0); err != nil {
		t.Fatal(err)
	}
	for _, c := range f.asked("find") {
		for list, bound := range map[string]int{"history": schema.MaxHistory, "updates": schema.MaxUpdates} {
			projection := c.Lookup("projection")
			if projection.Type == 0 || projection.Document().Lookup(list).Type == 0 {
				continue
			}
			if n, _ := projection.Document().Lookup(list, "$slice").AsInt64OK(); n != int64(-bound) {
				t.Errorf("read with %s", projection)
			}
		}
	}

	// Where the server cannot cut, decoding does.
	d, _ := decoder(t, nil)
	var history []any
	for i := range schema.MaxHistory + 7 {
		history = append(history, m{"state": []string{"outage", "operational"}[i%2], "at": someDay.Add(time.Duration(i) * time.Second)})
	}
	c, ok := d.decodeComponent(raw(t, m{"_id": "c", "page": "acme", "name": "C", "history": history}))
	if !ok || len(c.History) != schema.MaxHistory || !c.History[len(c.History)-1].At.After(c.History[0].At) {
		t.Errorf("%d entries of history", len(c.History))
	}
}

// A load of what has not changed can be told from its hash, in whatever order
// it comes, and what has changed, too.
func TestReadingHash(t *testing.T) {
	s, _ := decoder(t, nil)
	doc := func(id any, name string) bson.Raw {
		return raw(t, bson.D{{Key: "_id", Value: id}, {Key: "page", Value: "acme"}, {Key: "name", Value: name},
			{Key: "title", Value: name}, {Key: "created_at", Value: someDay}})
	}
	page := doc("acme", "Acme")
	a, b, i, j := doc("a", "A"), doc("b", "B"), doc("i", "I"), doc(7, "J")
	first := s.reading(documents{page, []bson.Raw{a, b}, []bson.Raw{i, j}})
	same := s.reading(documents{page, []bson.Raw{b, a, b}, []bson.Raw{j, i}})
	if first.Hash != same.Hash {
		t.Error("another order is another hash")
	}
	p, err := same.Decode()
	if err != nil || len(p.Components) != 2 || len(p.Issues) != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	for what, d := range map[string]documents{
		"page":      {doc("acme", "Acme 2"), []bson.Raw{a, b}, []bson.Raw{i, j}},
		"component": {page, []bson.Raw{a, doc("b", "B2")}, []bson.Raw{i, j}},
		"issue":     {page, []bson.Raw{a, b}, []bson.Raw{i, doc(7, "J2")}},
		"fewer":     {page, []bson.Raw{a}, []bson.Raw{i, j}},
		"moved":     {page, []bson.Raw{a, b, i}, []bson.Raw{j}},
	} {
		if s.reading(d).Hash == first.Hash {
			t.Errorf("%s: the hash is the same", what)
		}
	}
}
