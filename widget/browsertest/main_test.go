package browsertest

import (
	"flag"
	"os"
	"testing"

	"statustail/widget/internal/chromium"
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(chromium.Run(m))
}
