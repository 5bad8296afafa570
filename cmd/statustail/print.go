package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"statustail/stream/status"
)

// printJSON writes an event as one line of JSON.
func printJSON(w io.Writer, e event) error {
	line := struct {
		At   string          `json:"at"`
		ID   string          `json:"id,omitempty"`
		Name string          `json:"event"`
		Data json.RawMessage `json:"data"`
	}{e.At.UTC().Format("2006-01-02T15:04:05.000Z"), e.ID, e.Name, e.Data}
	if !json.Valid(e.Data) {
		line.Data, _ = json.Marshal(string(e.Data)) // cannot fail: it is a string
	}
	b, err := json.Marshal(line) // compacts what came, so it stays one line
	if err != nil {
		return err
	}
	_, err = w.Write(append(plainJSON(b), '\n'))
	return err
}

// plainJSON escapes in JSON what could drive a terminal. That is inside of
// strings: between them stands nothing of the kind.
func plainJSON(text []byte) []byte {
	var plain bytes.Buffer
	for _, r := range string(text) {
		if s := string(r); printable(s) == s {
			plain.WriteRune(r)
		} else {
			fmt.Fprintf(&plain, "\\u%04x", r)
		}
	}
	return plain.Bytes()
}

// printLine writes an event for people: when, what, and what of it.
func printLine(w io.Writer, e event) error { return printSummary(w, e, summary(e)) }

// printOps writes an event of a server's own log for people.
func printOps(w io.Writer, e event) error {
	var entry struct {
		Page     string `json:"page"`
		Detail   string `json:"detail"`
		Position string `json:"position"`
	}
	if json.Unmarshal(e.Data, &entry) != nil || entry.Page+entry.Detail == "" {
		return printSummary(w, e, compact(e.Data))
	}
	return printSummary(w, e, strings.TrimSpace(fmt.Sprintf("%-16s %-20s %s", entry.Position, entry.Page, entry.Detail)))
}

func printSummary(w io.Writer, e event, summary string) error {
	_, err := fmt.Fprintf(w, "%s  %-16s %s\n", e.At.Format("15:04:05"), printable(e.Name), printable(summary))
	return err
}

// What of the protocol's events is worth a place on a line.
type (
	shownIssue struct {
		ID       string `json:"id"`
		Title    string `json:"title"`
		Label    string `json:"label"`
		Standing bool   `json:"standing"`
		Updates  []struct {
			Label string `json:"label"`
		} `json:"updates"` // newest first
		Components []struct {
			Name string `json:"name"`
		} `json:"components"`
	}
	shownUpdate struct {
		IssueID  string      `json:"issue_id"`
		Label    string      `json:"label"`
		BodyText string      `json:"body_text"`
		Issue    *shownIssue `json:"issue"`
	}
	shown struct {
		State         *string `json:"state"`
		PercentUptime float64 `json:"percent_uptime"`
		Page          *struct {
			Name string `json:"name"`
		} `json:"page"`
		Issues []shownIssue `json:"issues"`
		Issue  *shownIssue  `json:"issue"`
		Update *shownUpdate `json:"update"`
		Status *struct {
			Component struct {
				Name  string  `json:"name"`
				State *string `json:"state"`
			} `json:"component"`
		} `json:"status"`
		Live       *bool `json:"live"`
		Recovered  *bool `json:"recovered"`
		StaleSince int64 `json:"stale_since"`
	}
)

// summary is one line about an event; for init_event, one more an issue.
// Events that are not the protocol's show their data.
func summary(e event) string {
	var d shown
	if !strings.Contains(protocolEvents, " "+e.Name+" ") || json.Unmarshal(e.Data, &d) != nil {
		return compact(e.Data)
	}
	parts := []string{word(d.State)}
	if d.Page != nil {
		parts = append(parts, fmt.Sprintf("%s, uptime %s %%", d.Page.Name, status.FormatPercent(d.PercentUptime)))
	}
	if d.Status != nil {
		parts = append(parts, fmt.Sprintf("%s is %s", d.Status.Component.Name, word(d.Status.Component.State)))
	}
	if d.Issue != nil {
		parts = append(parts, d.Issue.line())
	}
	if u := d.Update; u != nil {
		parts = append(parts, u.line())
	}
	if d.Recovered != nil && !*d.Recovered {
		parts = append(parts, "(something may have been missed)")
	}
	if d.Live != nil && !*d.Live {
		parts = append(parts, "(the server cannot reach its database)")
	}
	line := strings.Join(parts, "  ")
	for _, i := range d.Issues {
		line += "\n" + strings.Repeat(" ", 27) + i.line()
	}
	return line
}

const protocolEvents = " init_event status_created degraded restored issue_created issue_updated issue_resolved" +
	" issue_reopened issue_cancelled issue_started issue_ended cache_grown cache_rebuilt ping_event "

func (i *shownIssue) line() string {
	var names []string
	for _, c := range i.Components {
		names = append(names, c.Name)
	}
	when := ""
	if !i.Standing {
		when = ", not now"
	}
	label := i.Label // an update's, once there is one that says something else
	if len(i.Updates) > 0 {
		label = cmp.Or(i.Updates[0].Label, label)
	}
	return fmt.Sprintf("%s %q [%s%s] %s", i.ID, i.Title, label, when, strings.Join(names, ", "))
}

func (u *shownUpdate) line() string {
	if u.Issue != nil {
		return u.Issue.line()
	}
	return strings.TrimSpace(fmt.Sprintf("%s [%s] %s", u.IssueID, u.Label, strings.Join(strings.Fields(u.BodyText), " ")))
}

func word(state *string) string {
	if state == nil {
		return "pending"
	}
	return *state
}

// compact is data in one line that fits a screen.
func compact(data []byte) string {
	var b bytes.Buffer
	if json.Compact(&b, data) == nil {
		data = b.Bytes()
	}
	s := strings.Join(strings.Fields(string(data)), " ")
	if runes := []rune(s); len(runes) > 400 {
		s = string(runes[:400]) + "…"
	}
	return s
}
