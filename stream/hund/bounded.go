package hund

import (
	"html"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxFacts is how long the facts of a snapshot may be, in bytes: with what
// stands around them they fit into the 64 KB that several clients have for a
// line.
const MaxFacts = 60_000

// shorter are the lengths to which bodies are cut, one after the other until
// the snapshot fits, in bytes of plain text.
var shorter = []int{4000, 1000, 250, 60, 0}

// bounded encodes facts, without the oldest updates and with shorter bodies if
// they are too long. Every issue keeps its newest update.
func bounded(facts Facts) []byte {
	encoded := marshal(facts)
	if len(encoded) <= MaxFacts {
		return encoded
	}
	facts.Truncated = true
	facts.Issues = slices.Clone(facts.Issues)
	dropUpdates(facts.Issues, len(encoded)-MaxFacts)
	encoded = marshal(facts)
	for _, limit := range shorter {
		if len(encoded) <= MaxFacts {
			break
		}
		for i := range facts.Issues {
			facts.Issues[i].shorten(limit)
		}
		encoded = marshal(facts)
	}
	return encoded
}

// dropUpdates leaves out the oldest updates of all issues until about that
// many bytes are gone.
func dropUpdates(issues []Issue, bytes int) {
	for bytes > 0 {
		oldest := -1
		for i, is := range issues {
			if n := len(is.Updates); n > 1 && (oldest < 0 || is.Updates[n-1].CreatedAt < last(issues[oldest]).CreatedAt) {
				oldest = i
			}
		}
		if oldest < 0 {
			return
		}
		bytes -= len(marshal(last(issues[oldest])))
		is := &issues[oldest]
		is.Updates, is.Truncated = is.Updates[:len(is.Updates)-1], true
	}
}

func last(is Issue) Update { return is.Updates[len(is.Updates)-1] }

// shorten cuts the bodies of an issue and of its updates.
func (is *Issue) shorten(limit int) {
	cut := shorten(&is.Body, &is.BodyText, limit)
	is.Updates = slices.Clone(is.Updates)
	for i := range is.Updates {
		u := &is.Updates[i]
		cut = shorten(&u.Body, &u.BodyText, limit) || cut
	}
	is.Truncated = is.Truncated || cut
}

// shorten cuts a body to so many bytes of text. HTML cannot be cut, so the
// text takes its place.
func shorten(body, text *string, limit int) bool {
	if len(*text) <= limit && len(*body) <= 2*limit+100 {
		return false
	}
	short := *text
	if len(short) > limit {
		for limit > 0 && !utf8.RuneStart(short[limit]) {
			limit--
		}
		short = strings.TrimSpace(short[:limit]) + "…"
	}
	*text, *body = short, "<p>"+html.EscapeString(short)+"</p>"
	return true
}
