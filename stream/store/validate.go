package store

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"statustail/stream/schema"
	"statustail/stream/status"
)

var (
	localePattern = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,8}$`)
	hostPattern   = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// CheckSlug is nil when s can be the id of a page.
func CheckSlug(s string) error {
	if !schema.IsSlug(s) {
		return invalid("page", "%q is not a slug: want 1 to 63 lower-case letters, digits and hyphens, not beginning with a hyphen", clip(s))
	}
	return nil
}

// checkName accepts a line of text that says something.
func checkName(field, s string) error {
	switch {
	case strings.TrimSpace(s) == "":
		return invalid(field, "must not be empty")
	case len(s) > schema.MaxName:
		return invalid(field, "is too long: want at most %d bytes", schema.MaxName)
	}
	return checkLine(field, s)
}

// checkLine accepts an optional line of text.
func checkLine(field, s string) error {
	switch {
	case !utf8.ValidString(s):
		return invalid(field, "is not valid UTF-8")
	case len(s) > schema.MaxName:
		return invalid(field, "is too long: want at most %d bytes", schema.MaxName)
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return invalid(field, "must be one line without control characters")
	}
	return nil
}

// checkBody accepts optional prose.
func checkBody(field, s string) error {
	switch {
	case !utf8.ValidString(s):
		return invalid(field, "is not valid UTF-8")
	case len(s) > schema.MaxBody:
		return invalid(field, "is too long: want at most %d bytes", schema.MaxBody)
	}
	return nil
}

// checkState reads an optional state; an empty word is Pending.
func checkState(field, word string) (status.State, error) {
	if word == "" {
		return status.Pending, nil
	}
	s, err := status.ParseState(word)
	if err != nil {
		return s, invalid(field, "%q: want operational, degraded, partial_outage or outage", clip(word))
	}
	return s, nil
}

func checkURL(field, s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || len(s) > schema.MaxURL {
		return invalid(field, "%q: want an address such as https://example.com/status", clip(s))
	}
	return nil
}

// checkOrigin accepts what a browser sends in the Origin header, in lower
// case, and "*".
func checkOrigin(s string) error {
	if s == "*" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" ||
		s != u.Scheme+"://"+u.Host || s != strings.ToLower(s) || checkHost(u.Hostname()) != nil {
		return invalid("origins", "%q: want an origin such as https://example.com, without a path, or *", clip(s))
	}
	return nil
}

// sentOrigin is an origin as browsers send it: in lower case, and without the
// port that the scheme has anyway (RFC 6454, 6.2).
func sentOrigin(s string) string {
	s = strings.ToLower(s)
	for scheme, port := range map[string]string{"http://": ":80", "https://": ":443"} {
		if strings.HasPrefix(s, scheme) {
			s = strings.TrimSuffix(s, port)
		}
	}
	return s
}

// checkHost accepts a host name in lower case, or an IP address, without a
// port.
func checkHost(s string) error {
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	if len(s) > schema.MaxHost || !hostPattern.MatchString(s) {
		return invalid("hosts", "%q: want a host name in lower case without a port, such as status.example.com", clip(s))
	}
	return nil
}

// checkLocale accepts the shape of a BCP 47 language tag.
func checkLocale(s string) error {
	if s != "" && !localePattern.MatchString(s) {
		return invalid("locale", "%q: want a language tag such as en or pt-BR", clip(s))
	}
	return nil
}

func checkTimeZone(s string) error {
	if s == "" {
		return nil
	}
	if _, err := time.LoadLocation(s); err != nil || s == "Local" {
		return invalid("time_zone", "%q: want an IANA time zone such as Europe/Berlin", clip(s))
	}
	return nil
}

// checkSchedule accepts a start, and an end after it or none.
func checkSchedule(starts, ends time.Time) error {
	switch {
	case starts.IsZero():
		return invalid("schedule.starts_at", "is missing")
	case !ends.IsZero() && !ends.After(starts):
		return invalid("schedule.ends_at", "must be after the start")
	}
	for _, t := range []time.Time{starts, ends} {
		if y := t.Year(); !t.IsZero() && (y < 2000 || y > 9999) {
			return invalid("schedule", "is in the year %d", y)
		}
	}
	return nil
}
