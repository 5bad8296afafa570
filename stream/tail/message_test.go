package tail

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/change"
	"statustail/stream/schema"
)

func doc(t testing.TB, d bson.D) bson.Raw {
	t.Helper()
	raw, err := bson.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestMessageRefuses(t *testing.T) {
	good := bson.D{{Key: "_id", Value: 1}, {Key: "page", Value: "acme"}, {Key: "name", Value: "deploy"}, {Key: "data", Value: 1}}
	with := func(key string, value any) bson.D {
		d := bson.D{}
		for _, e := range good {
			if e.Key != key {
				d = append(d, e)
			}
		}
		if value != nil {
			d = append(d, bson.E{Key: key, Value: value})
		}
		return d
	}
	if _, err := message(doc(t, good), 1); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		d      bson.D
		reason string
	}{
		{with("_id", nil), "id"},
		{with("page", nil), "page"},
		{with("page", "Acme"), "page"},
		{with("page", "-acme"), "page"},
		{with("page", strings.Repeat("a", 64)), "page"},
		{with("page", "acme\n"), "page"},
		{with("name", nil), "name"},
		{with("name", "a b"), "name"},
		{with("name", "a\ndata: x"), "name"},
		{with("name", schema.Changed), "name"},
		{with("name", strings.Repeat("a", 65)), "name"},
		{with("name", "init_event"), "name"},
		{with("key", 1), "key"},
		{with("key", strings.Repeat("k", schema.MaxKey+1)), "key"},
		{with("data", strings.Repeat("d", schema.MaxData)), "size"},
		{with("data", strings.Repeat("<", schema.MaxData/4)), "size"}, // as JSON
	} {
		_, err := message(doc(t, test.d), 1)
		var fault *misfit
		if !errors.As(err, &fault) || fault.reason != test.reason {
			t.Errorf("%.100v: got %v, want it skipped because of its %s", test.d, err, test.reason)
		}
	}
}

func TestHintOfAPageNamesThePage(t *testing.T) {
	if h := hint(schema.Pages, raw(t, "acme"), bson.RawValue{}, 5); h != (change.Hint{Collection: schema.Pages, Page: "acme", ID: "acme", At: 5}) {
		t.Errorf("%+v", h)
	}
}

func TestSkippedIsLoggedOnceInBoundedMemory(t *testing.T) {
	var log bytes.Buffer
	r := newReader(Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, newMetrics(nil))
	skip := func(id string) {
		if _, ok := r.message(doc(t, bson.D{{Key: "_id", Value: id}}), 1); ok {
			t.Fatal("not skipped")
		}
	}
	for range 3 {
		skip("broken")
	}
	if n := strings.Count(log.String(), "broken"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
	for i := range 3 * maxSkipped {
		skip(fmt.Sprint(i))
	}
	if len(r.skipped) != maxSkipped || len(r.order) != maxSkipped {
		t.Errorf("%d ids are remembered", len(r.skipped))
	}
}
