package hund

import (
	"encoding/json"
	"testing"
	"time"
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
	if err := json.Unmarshal(Encoder{}.State(page.At(noon), noon, time.Time{}), &state); err != nil {
		t.Fatal(err)
	}
	if state.Since != nil || state.Streak != 3*24*60*60 {
		t.Errorf("%+v", state)
	}
}
