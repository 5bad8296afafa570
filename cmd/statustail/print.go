package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"statustail/stream/hund"
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

// summary is one line about an event; for init_event, one more an issue.
// Events that are not the protocol's show their data.
func summary(e event) string {
	var parts []string
	var common hund.Common
	var fresh hund.Freshness
	var issues []hund.Issue
	var err error
	switch {
	case e.Name == "init_event":
		var s hund.Snapshot
		err = json.Unmarshal(e.Data, &s)
		common, fresh, issues = s.Common, s.Freshness, s.Issues
		parts = append(parts, fmt.Sprintf("%s, uptime %s %%", s.Page.Name, status.FormatPercent(s.PercentUptime)))
		if s.Recovered != nil && !*s.Recovered {
			parts = append(parts, "(something may have been missed)")
		}
	case e.Name == "ping_event":
		var p hund.Ping
		err = json.Unmarshal(e.Data, &p)
		common, fresh = p.Common, p.Freshness
	case e.Name == "messages_dropped":
		var d hund.Dropped
		if json.Unmarshal(e.Data, &d) == nil {
			return fmt.Sprintf("%d events of the application were missed", d.Count)
		}
		return compact(e.Data)
	case hund.Standard(e.Name):
		var ev hund.Event
		err = json.Unmarshal(e.Data, &ev)
		common, parts = ev.Common, eventParts(ev)
	default:
		return compact(e.Data)
	}
	if err != nil {
		return compact(e.Data)
	}
	if !fresh.Live && fresh.StaleSince != nil {
		parts = append(parts, "(the server cannot reach its database)")
	}
	line := strings.Join(append([]string{word(common.State)}, parts...), "  ")
	for i := range issues {
		line += "\n" + strings.Repeat(" ", 27) + issueLine(&issues[i])
	}
	return line
}

func eventParts(e hund.Event) (parts []string) {
	if s := e.Status; s != nil {
		parts = append(parts, fmt.Sprintf("%s is %s", s.Component.Name, word(s.Component.State)))
	}
	if e.Issue != nil {
		parts = append(parts, issueLine(e.Issue))
	}
	if u := e.Update; u != nil {
		parts = append(parts, updateLine(u))
	}
	return parts
}

func issueLine(i *hund.Issue) string {
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

func updateLine(u *hund.Update) string {
	if u.Issue != nil {
		return issueLine(u.Issue)
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
