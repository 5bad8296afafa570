// Package hundtest is a client of the Hund Live Event Stream as a browser's
// widget is one: it keeps state by applying events. Tests hold it against
// what a fresh connection is told.
package hundtest

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// A Client keeps state as status.js does, with the additive fields beside
// it. The zero Client is ready for an init_event.
type Client struct {
	// Common is what every event carries: state, uptime and streak.
	Common     map[string]any
	Page       any
	Components []any
	Issues     map[string]map[string]any
}

type object = map[string]any

var commonKeys = []string{"state", "percent_uptime", "incident_free_streak"}

// known are the events that change nothing but what every event carries.
var known = map[string]bool{"degraded": true, "restored": true, "cache_grown": true, "cache_rebuilt": true, "ping_event": true}

// Apply takes one event. An error means that the event is not of the
// protocol, or does not fit what the client knows.
func (c *Client) Apply(name string, data []byte) (err error) {
	// A missing or misshapen field shows itself as a failed assertion.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %v in %s", name, p, data)
		}
	}()
	var e object
	if err := json.Unmarshal(data, &e); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	common := object{}
	for _, key := range commonKeys {
		value, ok := e[key]
		if !ok {
			return fmt.Errorf("%s lacks %s: %s", name, key, data)
		}
		common[key] = value
	}
	if err := c.apply(name, e); err != nil {
		return err
	}
	c.Common = common
	return nil
}

func (c *Client) apply(name string, e object) error {
	update, _ := e["update"].(object)
	switch name {
	case "init_event":
		c.Page, c.Components, c.Issues = e["page"], e["components"].([]any), map[string]map[string]any{}
		for _, issue := range e["issues"].([]any) {
			c.insert(issue.(object))
		}
	case "status_created":
		c.setState(e["status"].(object))
	case "issue_created", "issue_started":
		issue := e["issue"].(object)
		issue["updates"] = []any{}
		c.insert(issue)
	case "issue_updated":
		if issue, ok := c.Issues[update["issue_id"].(string)]; ok {
			issue["updates"] = append([]any{e["update"]}, issue["updates"].([]any)...)
		}
	case "issue_resolved", "issue_cancelled", "issue_ended":
		if update != nil {
			delete(c.Issues, update["issue_id"].(string))
		} else {
			delete(c.Issues, e["issue"].(object)["id"].(string))
		}
	case "issue_reopened":
		c.insert(update["issue"].(object))
	default:
		if !known[name] {
			return fmt.Errorf("unknown event %q", name)
		}
	}
	return nil
}

func (c *Client) insert(issue object) { c.Issues[issue["id"].(string)] = issue }

func (c *Client) setState(status object) {
	id := status["component_id"]
	for i, have := range c.Components {
		if have.(object)["id"] == id {
			c.Components[i] = status["component"]
		}
	}
	for _, issue := range c.Issues {
		for _, part := range issue["components"].([]any) {
			if part := part.(object); part["id"] == id {
				part["state"] = status["state"]
			}
		}
	}
}

// Differs describes how two clients differ, and is empty when they do not.
// With timeless, uptime and streak, which change by themselves, may differ.
func (c *Client) Differs(other *Client, timeless bool) string {
	a, b := *c, *other
	if timeless {
		a.Common, b.Common = object{"state": a.Common["state"]}, object{"state": b.Common["state"]}
	}
	if reflect.DeepEqual(a, b) {
		return ""
	}
	x, _ := json.MarshalIndent(a, "", " ")
	y, _ := json.MarshalIndent(b, "", " ")
	return fmt.Sprintf("%s\n--- and ---\n%s", x, y)
}
