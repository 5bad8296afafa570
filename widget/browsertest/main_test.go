package browsertest

import (
	"testing"

	"statustail/widget/internal/chromium"
)

func TestMain(m *testing.M) { chromium.Main(m) }
