package live

import "time"

// absences remembers slugs that do not exist, so that asking for them again
// costs the database nothing. A hint that names one removes it; the time only
// bounds what a lost hint can do.
type absences map[string]time.Time // until when

const (
	maxAbsences = 10_000
	absenceTime = 10 * time.Second
)

func (a absences) has(slug string, now time.Time) bool {
	until, ok := a[slug]
	return ok && now.Before(until)
}

func (a absences) add(slug string, now time.Time) {
	for other := range a { // any will do
		if len(a) < maxAbsences {
			break
		}
		delete(a, other)
	}
	a[slug] = now.Add(absenceTime)
}

func (a absences) remove(slug string) { delete(a, slug) }

func (a absences) clear() { clear(a) }
