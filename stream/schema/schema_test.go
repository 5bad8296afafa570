package schema

import (
	"strings"
	"testing"
)

func TestReserved(t *testing.T) {
	for _, name := range []string{"init_event", "ping_event", "degraded", "issue_created", "cache_grown", "messages_dropped", "message", "error", "open"} {
		if !Reserved(name) {
			t.Errorf("%q is free for applications", name)
		}
	}
	for _, name := range []string{"deploy", "init_event2", ""} {
		if Reserved(name) {
			t.Errorf("%q is reserved", name)
		}
	}
	for name := range reserved {
		if !IsEventName(name) {
			t.Errorf("%q could not be used anyway", name)
		}
	}
	if IsEventName(Changed) {
		t.Errorf("%q can be the name of an event", Changed)
	}
}

func TestPatterns(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "acme-2": true, "0": true, strings.Repeat("a", 63): true,
		"": false, "-a": false, "A": false, "a_b": false, "a\n": false, "a.b": false, strings.Repeat("a", 64): false,
	} {
		if IsSlug(s) != want {
			t.Errorf("IsSlug(%q) = %t", s, !want)
		}
	}
	for s, want := range map[string]bool{
		"deploy": true, "a.b-c_1": true, strings.Repeat("a", 64): true,
		"": false, "Deploy": false, "1a": false, "a b": false, "a\ndata: x": false, strings.Repeat("a", 65): false,
	} {
		if IsEventName(s) != want {
			t.Errorf("IsEventName(%q) = %t", s, !want)
		}
	}
}
