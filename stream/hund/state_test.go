package hund

import (
	"encoding/json"
	"slices"
	"testing"

	"statustail/stream/change"
)

// The last incident of a page that has had none was never, though its streak
// counts from when the page was made.
func TestNoIncidentYet(t *testing.T) {
	page := samplePage()
	page.Issues = nil
	v, e, m := page.At(noon), Encoder{}, change.Moment{Now: noon}
	var state Snapshot
	if err := json.Unmarshal(slices.Concat(e.State(v, e.Facts(v, m), m)...), &state); err != nil {
		t.Fatal(err)
	}
	if state.IncidentFreeSince != nil || state.IncidentFreeStreak != 3*24*60*60 {
		t.Errorf("%+v", state)
	}
}
