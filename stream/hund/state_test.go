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
	var state struct {
		Since  *int64 `json:"incident_free_since"`
		Streak int64  `json:"incident_free_streak"`
	}
	v, m := page.At(noon), change.Moment{Now: noon}
	if err := json.Unmarshal(slices.Concat(Encoder{}.State(v, Encoder{}.Facts(v, m), m)...), &state); err != nil {
		t.Fatal(err)
	}
	if state.Since != nil || state.Streak != 3*24*60*60 {
		t.Errorf("%+v", state)
	}
}
