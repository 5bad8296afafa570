package hund

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
)

// A comparison is one case of the table that the widget is held against, too.
type comparison struct {
	Name          string
	Before, After json.RawMessage
	Told          []string
}

func comparisons(t *testing.T) (cases []comparison) {
	t.Helper()
	table, err := os.ReadFile("testdata/compare.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(table, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// brief says an event in the table's words.
func brief(told Told) string {
	e, ok := told.Data.(Event)
	switch {
	case !ok:
		return told.Name
	case e.Status != nil:
		return fmt.Sprintf("%s %s %s", told.Name, e.Status.ComponentID, *e.Status.Component.State)
	case e.Update != nil:
		return fmt.Sprintf("%s %s %s", told.Name, e.Update.IssueID, e.Update.ID)
	case e.Issue != nil:
		return fmt.Sprintf("%s %s", told.Name, e.Issue.ID)
	}
	return told.Name
}

func TestCompare(t *testing.T) {
	for _, c := range comparisons(t) {
		t.Run(c.Name, func(t *testing.T) {
			var s State
			if told, err := s.Apply("init_event", c.Before); err != nil || len(told) != 1 {
				t.Fatalf("the first init_event says %v, %v", told, err)
			}
			told, err := s.Apply("init_event", c.After)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, one := range told {
				got = append(got, brief(one))
				if e, ok := one.Data.(Event); ok && !same(e.State, s.Snapshot.State) {
					t.Errorf("%s carries another state than the page's", one.Name)
				}
			}
			if want := append([]string{"init_event"}, c.Told...); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	var s State
	if _, err := s.Apply("init_event", []byte(`{"state": "operational", "issues": []}`)); err != nil {
		t.Fatal(err)
	}
	before := s.Snapshot
	for _, name := range []string{"init_event", "ping_event", "degraded", "messages_dropped"} {
		if _, err := s.Apply(name, []byte(`[1]`)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if s.Snapshot != before {
		t.Error("the state is another")
	}
	told, err := s.Apply("deploy", []byte(`[1]`))
	if err != nil || len(told) != 1 || string(told[0].Data.(json.RawMessage)) != "[1]" {
		t.Errorf("an application's event: %v, %v", told, err)
	}
	told, err = s.Apply("messages_dropped", Encoder{}.Dropped(3)[len("event: messages_dropped\ndata: "):])
	if err != nil || told[0].Data.(Dropped).Count != 3 {
		t.Errorf("messages_dropped: %v, %v", told, err)
	}
}
