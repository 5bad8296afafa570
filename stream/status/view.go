package status

import (
	"cmp"
	"slices"
	"time"
)

// Window is how far back uptime looks, and how long an issue that is over
// remains known.
const Window = 30 * 24 * time.Hour

// A View is what a page, or one component of it, amounts to at one moment.
// Views are immutable; what is reachable from them must not be modified.
type View struct {
	Page *Page
	At   time.Time
	// Scope is the component the view is narrowed to; empty for the page.
	Scope string

	// State is the worst of the components' effective states and of the
	// standing issues'; Pending when there is neither component nor issue.
	State State
	// Components in the order in which they are shown.
	Components []ComponentView
	// Issues standing and upcoming, newest first.
	Issues []IssueView
	// Next is when time alone will change the view; zero for never.
	Next time.Time

	over []IssueView // known issues that affect nothing any more
	rec  record
}

// A ComponentView is a component with its effective state.
type ComponentView struct {
	ID          string
	Name        string
	Description Text
	Group       string
	// State is the worst of the component's own and of the standing issues
	// that name it.
	State State
	// Maintenance says that a standing maintenance names the component and
	// that nothing else is wrong with it.
	Maintenance bool
}

// An IssueView is an issue with what depends on time resolved.
type IssueView struct {
	Issue // Updates are newest first
	Phase Phase
	// Affected are the named components that exist, in the page's order.
	Affected []ComponentView
}

// At resolves everything that depends on time. The page must not be modified
// afterwards.
func (p *Page) At(now time.Time) View {
	v := View{Page: p, At: now}

	all := make([]IssueView, 0, len(p.Issues))
	for i := range p.Issues {
		iv := IssueView{Issue: p.Issues[i], Phase: p.Issues[i].PhaseAt(now)}
		iv.Updates = newestFirst(iv.Updates)
		all = append(all, iv)
		v.Next = earliest(v.Next, p.Issues[i].next(now))
	}
	slices.SortFunc(all, func(a, b IssueView) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})

	v.Components = componentViews(p.Components, all)
	for _, c := range v.Components {
		v.State = max(v.State, c.State)
	}
	for i := range all {
		iv := &all[i]
		for _, c := range v.Components {
			if slices.Contains(iv.Components, c.ID) {
				iv.Affected = append(iv.Affected, c)
			}
		}
		if iv.Phase == Standing {
			v.State = max(v.State, iv.Effective())
		}
	}
	v.split(all)
	v.rec = p.record(all, now)
	return v
}

// Component narrows the view to one component: its state, its issues (which
// then name no other component, so that nothing about those need be told),
// its uptime. ok is false when the page has no such component.
func (v View) Component(id string) (scoped View, ok bool) {
	i := slices.IndexFunc(v.Components, func(c ComponentView) bool { return c.ID == id })
	if i < 0 {
		return View{}, false
	}
	s := View{
		Page: v.Page, At: v.At, Scope: id, Next: v.Next,
		State: v.Components[i].State, Components: v.Components[i : i+1 : i+1],
	}
	var own []IssueView
	for _, issues := range [][]IssueView{v.Issues, v.over} {
		for _, iv := range issues {
			if slices.Contains(iv.Components, id) {
				iv.Affected = s.Components
				own = append(own, iv)
			}
		}
	}
	s.split(own)
	s.rec = v.Page.componentRecord(id, own, v.At)
	return s, true
}

// Issue finds an issue among all that the view knows, those that are over
// included.
func (v View) Issue(id string) (IssueView, bool) {
	for _, issues := range [][]IssueView{v.Issues, v.over} {
		for _, iv := range issues {
			if iv.ID == id {
				return iv, true
			}
		}
	}
	return IssueView{}, false
}

// Over are the issues that ended no longer than Window ago, newest first.
func (v View) Over() []IssueView { return v.over }

func (v *View) split(all []IssueView) {
	for _, iv := range all {
		if iv.Phase.Open() {
			v.Issues = append(v.Issues, iv)
		} else {
			v.over = append(v.over, iv)
		}
	}
}

func componentViews(components []Component, issues []IssueView) []ComponentView {
	components = slices.Clone(components)
	slices.SortStableFunc(components, func(a, b Component) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	views := make([]ComponentView, 0, len(components))
	for _, c := range components {
		unplanned, planned, maintained := c.State, Pending, false
		for i := range issues {
			iv := &issues[i]
			if iv.Phase != Standing || !slices.Contains(iv.Components, c.ID) {
				continue
			}
			if iv.Kind == Maintenance {
				maintained = true
				planned = max(planned, iv.Effective())
			} else {
				unplanned = max(unplanned, iv.Effective())
			}
		}
		views = append(views, ComponentView{
			ID: c.ID, Name: c.Name, Description: c.Description, Group: c.Group,
			State:       max(unplanned, planned),
			Maintenance: maintained && !unplanned.Affects(),
		})
	}
	return views
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
