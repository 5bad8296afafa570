package browsertest

import (
	"flag"
	"os"
	"testing"

	"statustail/cmd/statustail/programtest/chromium"
)

func TestMain(m *testing.M) {
	// Most of the time the tests wait, for a browser or for time to pass.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	code := m.Run()
	chromium.Close()
	os.Exit(code)
}
