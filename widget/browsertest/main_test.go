package browsertest

import (
	"flag"
	"os"
	"testing"

	"statustail/widget/internal/chromium"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Most of the time the tests wait, for a browser or for time to pass.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(chromium.Run(m))
}
