package browsertest

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const tag = `<script async src="/widget.js" data-page="demo"></script>`

// The main job: one tag shows the state and the issues, and follows every
// event of the stream.
func TestLive(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := newProfile(t)
	p.open(s.URL + "/-/demo/corner")
	p.says("All systems operational")
	p.shoot("calm")

	p.do(chromedp.Click(chromedp.JSPath(pill)))
	p.panel("Status page")
	p.panel("99.98% uptime in 30 days")
	p.panel("Last incident 12 days ago")
	p.panel("Live")
	p.shoot("calm-open")

	opened := issue("i9", "Heavy load")
	s.send("issue_created", object{"state": "operational", "percent_uptime": 99.9, "incident_free_streak": 0, "issue": opened})
	p.panel("Heavy load")
	s.send("degraded", object{"state": "degraded", "percent_uptime": 99.9, "incident_free_streak": 0})
	p.says("Degraded performance")
	s.send("status_created", object{"state": "degraded", "status": object{
		"component_id": "c1", "state": "degraded", "component": component("c1", "API", "degraded")}})
	p.until(root + `.querySelector(".component.component")?.textContent === "APIDegraded performance"`)
	s.send("issue_updated", object{"state": "degraded", "update": object{
		"id": "u1", "issue_id": "i9", "label": "Identified", "body_text": "It is the cache.", "created_at": time.Now().Unix()}})
	p.panel("It is the cache.")
	p.panel("Identified")
	s.send("issue_resolved", object{"state": "degraded", "update": object{"id": "u2", "issue_id": "i9"}})
	p.panel("Status page")
	s.send("issue_reopened", object{"state": "degraded", "update": object{"id": "u3", "issue_id": "i9", "issue": opened}})
	p.panel("Heavy load")
	s.send("issue_resolved", object{"state": "degraded", "issue": object{"id": "i9"}})
	s.send("restored", object{"state": "operational", "percent_uptime": 99.9, "incident_free_streak": 0})
	p.says("All systems operational")

	s.is(troubled())
	p.says("Partial outage")
	p.panel("Restoring search index")
	p.panel("Upcoming")
	p.shoot("troubled")
}
