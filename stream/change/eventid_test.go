package change

import (
	"math"
	"testing"
)

func TestEventID(t *testing.T) {
	for text, want := range map[string]EventID{
		"0000000100000002":            {At: 0x1_0000_0002},
		"0000000100000002-1":          {At: 0x1_0000_0002, Passed: 1},
		"ffffffffffffffff-4294967295": {At: math.MaxUint64, Passed: math.MaxUint32},
	} {
		if got, err := ParseEventID(text); err != nil || got != want || got.String() != text {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "1", "000000010000000", "00000001000000022", "000000010000000A", "0000000100000002-", "0000000100000002-0",
		"0000000100000002-01", "0000000100000002-+1", "0000000100000002--1", "0000000100000002-4294967296",
		"0000000100000002-1-1", "0000000100000002 1", "-1", "0000000100000002-1\n",
	} {
		if got, err := ParseEventID(text); err == nil {
			t.Errorf("%q was taken for %v", text, got)
		}
	}
	order := []EventID{{}, {At: 1}, {At: 1, Passed: 1}, {At: 1, Passed: 2}, {At: 2}, {At: 2, Passed: 1}}
	for i, a := range order {
		for k, b := range order {
			if a.Before(b) != (i < k) {
				t.Errorf("%v before %v: %v", a, b, a.Before(b))
			}
		}
	}
}

func FuzzParseEventID(f *testing.F) {
	f.Add("0000000100000002-7")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := ParseEventID(text); err == nil && id.String() != text {
			t.Errorf("%q was read as %v", text, id)
		}
	})
}
