package fanout

import "runtime"

var rawSupported = runtime.GOOS == "linux"
