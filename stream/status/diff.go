package status

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// An EventKind is one word of the live stream's vocabulary.
type EventKind uint8

const (
	Init EventKind = iota // the whole state again
	StatusCreated
	PageDegraded
	PageRestored
	IssueCreated
	IssueUpdated
	IssueResolved
	IssueReopened
	IssueCancelled
	IssueStarted
	IssueEnded
	CacheRebuilt // uptime was recalculated
)

var eventKinds = [...]string{
	"init", "status_created", "page_degraded", "page_restored", "issue_created", "issue_updated", "issue_resolved",
	"issue_reopened", "issue_cancelled", "issue_started", "issue_ended", "cache_rebuilt",
}

func (k EventKind) String() string {
	if int(k) < len(eventKinds) {
		return eventKinds[k]
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// An Event is one difference between two views.
type Event struct {
	Kind EventKind
	// Component is set for StatusCreated.
	Component *ComponentView
	// Issue is set for every kind that concerns an issue.
	Issue *IssueView
	// Update is set for IssueUpdated, and for IssueResolved, IssueReopened
	// and IssueCancelled when an update came with them.
	Update *Update
}

// Diff gives the events that lead whoever has applied everything up to
// before to after. Both views are of the same page and scope, and before is
// the older one.
//
// What the vocabulary has no word for (a title edited, an issue deleted, a
// component renamed) ends the events with an Init. Each update of an issue is
// reported, however many came between the two views.
func Diff(before, after View) []Event {
	d := differ{before: before, after: after}
	d.components()
	d.issues()
	switch {
	case !before.State.Affects() && after.State.Affects():
		d.add(Event{Kind: PageDegraded})
	case before.State.Affects() && !after.State.Affects():
		d.add(Event{Kind: PageRestored})
	}
	if !sameHead(before.Page, after.Page) {
		d.reset = true
	}
	if d.reset {
		d.add(Event{Kind: Init})
	}
	if len(d.events) == 0 && !sameRecord(before.rec, after.rec, after.At) {
		d.add(Event{Kind: CacheRebuilt})
	}
	return d.events
}

type differ struct {
	before, after View
	events        []Event
	reset         bool // the vocabulary has no word for something
}

func (d *differ) add(e Event) { d.events = append(d.events, e) }

func (d *differ) components() {
	if !slices.EqualFunc(d.before.Components, d.after.Components, sameComponent) {
		d.reset = true
	}
	old := make(map[string]ComponentView, len(d.before.Components))
	for _, c := range d.before.Components {
		old[c.ID] = c
	}
	for i := range d.after.Components {
		c := &d.after.Components[i]
		if o, ok := old[c.ID]; ok && (o.State != c.State || o.Maintenance != c.Maintenance) {
			d.add(Event{Kind: StatusCreated, Component: c})
		}
	}
}

func (d *differ) issues() {
	type side struct{ before, after *IssueView }
	known := make(map[string]side)
	each(&d.before, func(iv *IssueView) { known[iv.ID] = side{before: iv} })
	var order []*IssueView
	each(&d.after, func(iv *IssueView) {
		s := known[iv.ID]
		s.after = iv
		known[iv.ID] = s
		order = append(order, iv)
	})
	for _, s := range known {
		if s.after == nil && s.before.Phase.Open() {
			d.reset = true // deleted, or moved to another page
		}
	}
	// Oldest first, so that a client that inserts at the front ends with the
	// newest there.
	slices.SortFunc(order, func(a, b *IssueView) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	for _, iv := range order {
		if old := known[iv.ID].before; old == nil {
			d.appeared(iv)
		} else {
			d.changed(old, iv)
		}
	}
}

func each(v *View, f func(*IssueView)) {
	for i := range v.Issues {
		f(&v.Issues[i])
	}
	for i := range v.over {
		f(&v.over[i])
	}
}

// lateness is how much older than it is a document may say that it is: what
// lies between a writer's clock and ours, and between writing and reading.
const lateness = time.Minute

func (d *differ) appeared(iv *IssueView) {
	if iv.Phase.Open() {
		d.add(Event{Kind: IssueCreated, Issue: iv})
		// Clients insert a created issue with an empty list of updates.
		d.reset = d.reset || len(iv.Updates) > 0
		return
	}
	// Opened and closed between two views is news; history filled in
	// afterwards is not. What is dated before the first view may have been
	// written after it, or a moment before and not yet have been read.
	if iv.end().After(d.before.At.Add(-lateness)) {
		d.add(Event{Kind: IssueCreated, Issue: iv})
		d.closed(iv, iv.Updates)
	}
}

func (d *differ) changed(old, iv *IssueView) {
	news, appended := newUpdates(old.Updates, iv.Updates)
	switch {
	case old.Phase.Open() && iv.Phase.Open():
		started := old.Phase == Upcoming && iv.Phase == Standing
		if started {
			d.add(Event{Kind: IssueStarted, Issue: iv})
		}
		for i := range slices.Backward(news) {
			d.add(Event{Kind: IssueUpdated, Issue: iv, Update: &news[i]})
		}
		if !appended || !sameIssue(old, iv) ||
			old.Phase == Standing && iv.Phase == Upcoming ||
			started && len(old.Updates) > 0 { // clients empty them
			d.reset = true
		}
	case old.Phase.Open():
		if old.Phase == Upcoming && iv.Phase == Ended {
			d.add(Event{Kind: IssueStarted, Issue: iv})
		}
		d.closed(iv, news)
	case iv.Phase.Open():
		e := Event{Kind: IssueReopened, Issue: iv}
		if len(news) > 0 {
			e.Update = &news[0]
		}
		d.add(e)
	}
}

// closed reports the end of an issue. When somebody resolved or cancelled it,
// the newest update goes with the event; all others go before it.
func (d *differ) closed(iv *IssueView, news []Update) {
	e := Event{Kind: IssueEnded, Issue: iv}
	if iv.Phase != Ended {
		e.Kind = IssueResolved
		if iv.Phase == Cancelled {
			e.Kind = IssueCancelled
		}
		if len(news) > 0 {
			e.Update, news = &news[0], news[1:]
		}
	}
	for i := range slices.Backward(news) {
		d.add(Event{Kind: IssueUpdated, Issue: iv, Update: &news[i]})
	}
	d.add(e)
}

// newUpdates gives the updates that stand before the old ones; appended is
// false when the old ones are not still what follows.
func newUpdates(old, now []Update) (news []Update, appended bool) {
	known := make(map[string]bool, len(old))
	for _, u := range old {
		known[u.ID] = true
	}
	for _, u := range now {
		if !known[u.ID] {
			news = append(news, u)
		}
	}
	if len(now) != len(news)+len(old) || !slices.EqualFunc(now[len(news):], old, sameUpdate) {
		return news, false
	}
	return news, true
}

func sameHead(a, b *Page) bool {
	return a.Name == b.Name && a.URL == b.URL && a.Locale == b.Locale
}

func sameComponent(a, b ComponentView) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Description == b.Description && a.Group == b.Group
}

func sameUpdate(a, b Update) bool {
	return a.ID == b.ID && a.Label == b.Label && a.Body == b.Body && a.State == b.State && a.CreatedAt.Equal(b.CreatedAt)
}

// sameIssue compares what clients show of an issue, but for its phase, its
// updates and its components' states, which have events of their own.
func sameIssue(a, b *IssueView) bool {
	return a.Title == b.Title && a.Body == b.Body && a.Label == b.Label && a.Kind == b.Kind &&
		a.State == b.State && a.CreatedAt.Equal(b.CreatedAt) &&
		equalPtr(a.Progress, b.Progress, func(x, y int) bool { return x == y }) &&
		equalPtr(a.Schedule, b.Schedule, func(x, y Schedule) bool {
			return x.StartsAt.Equal(y.StartsAt) && x.EndsAt.Equal(y.EndsAt)
		}) &&
		slices.EqualFunc(a.Affected, b.Affected, sameComponent)
}

func equalPtr[T any](a, b *T, equal func(T, T) bool) bool {
	if a == nil || b == nil {
		return a == b
	}
	return equal(*a, *b)
}
