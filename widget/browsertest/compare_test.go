package browsertest

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"statustail/cmd/statustail/programtest/chromium"
)

// What page code is told of an issue after the widget was away, or of one that
// only a snapshot speaks of: the same as hund.Compare says, case by case.
func TestComparesSnapshots(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("../../stream/hund/testdata/compare.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name          string
		Before, After object
		Told          []string
	}
	if err := json.Unmarshal(table, &cases); err != nil || len(cases) == 0 {
		t.Fatal(len(cases), err)
	}
	s := newServer(t)
	p := chromium.NewProfile(t)
	const told = `<!doctype html><title>A</title><script>
	told = [];
	addEventListener("status-widget:issue", ({ detail: { name, issue, update } }) =>
		told.push(name + " " + (update ? update.issue_id + " " + update.id : issue.id)));
	addEventListener("status-widget:event", ({ detail: { data } }) => told.push("end " + data));
	</script><script async src="/widget.js" data-page="demo" data-events="end"></script>`
	for i, c := range cases {
		var want []string
		for _, event := range c.Told {
			if strings.HasPrefix(event, "issue_") {
				want = append(want, event)
			}
		}
		s.becomes(with(c.Before, object{"ping_interval": 60}))
		p.Open(s.site("a", told))
		p.Until(`document.querySelector("status-widget")?.snapshot?.ping_interval === 60`)
		if i%2 == 0 { // while it is connected, or after it was not
			s.is(with(c.After, object{"ping_interval": 61}))
		} else {
			s.becomes(with(c.After, object{"ping_interval": 61}))
			s.hangUp()
		}
		p.Until(`document.querySelector("status-widget").snapshot.ping_interval === 61`)
		got := chromium.Eval[[]string](p, `told`)
		if !slices.Equal(got, want) {
			t.Errorf("%s: page code is told %q, want %q", c.Name, got, want)
		}
	}
}
