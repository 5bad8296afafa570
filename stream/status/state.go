package status

import "fmt"

// A State is how well something works. A larger state is worse; Pending, the
// zero State, is "not known" and no worse than anything.
type State uint8

const (
	Pending State = iota
	Operational
	Degraded
	PartialOutage
	Outage
)

var stateNames = [...]string{"", "operational", "degraded", "partial_outage", "outage"}

// String is the word of the schema; Pending is the empty string.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// ParseState reads one of the schema's four words.
func ParseState(s string) (State, error) {
	for i, name := range stateNames {
		if i > 0 && s == name {
			return State(i), nil
		}
	}
	return Pending, fmt.Errorf("state %.40q: want operational, degraded, partial_outage or outage", s)
}

// Affects reports whether the state is worse than operational.
func (s State) Affects() bool { return s > Operational }
