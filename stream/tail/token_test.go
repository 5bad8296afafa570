package tail

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/change"
)

func TestTokenPosition(t *testing.T) {
	for _, test := range []struct {
		data any
		want change.Position
	}{
		// As a server gave them: between events, and for one.
		{"826B01CE920000000D2B0229296E04", change.NewPosition(0x6B01CE92, 13)},
		{"826B01CE92000000022B022C0100296E5A1004B95920F2068448CBA27D7C61A87C1BA446645F696400646B01CE92B80E8E2B995400070004", change.NewPosition(0x6B01CE92, 2)},
		{"", 0},
		{"82", 0},
		{"836B01CE920000000D2B0229296E04", 0},
		{"82xx01CE920000000D2B0229296E04", 0},
		{bson.Binary{Data: []byte{0x82}}, 0}, // before MongoDB 4.2
	} {
		if got := tokenPosition(doc(t, bson.D{{Key: "_data", Value: test.data}})); got != test.want {
			t.Errorf("%v: got %v, want %v", test.data, got, test.want)
		}
	}
	if got := tokenPosition(nil); got != 0 {
		t.Errorf("no token: got %v", got)
	}
}

func FuzzTokenPosition(f *testing.F) {
	f.Add("826B01CE920000000D2B0229296E04")
	f.Fuzz(func(t *testing.T, data string) {
		tokenPosition(doc(t, bson.D{{Key: "_data", Value: data}}))
	})
}
