package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// version is set by the linker for releases.
var version = ""

// versionFlag is --version: one line, as other programs have it.
type versionFlag bool

func (versionFlag) BeforeReset(app *kong.Kong) error {
	v, _ := built()
	fmt.Fprintf(app.Stdout, "statustail %s\n", v)
	app.Exit(exitOK)
	return nil
}

type versionCmd struct{}

func (versionCmd) Run(a *app) error {
	v, revision := built()
	_, err := fmt.Fprintf(a.stdout, "statustail %s\n%s %s/%s\nrevision %s\n", v, runtime.Version(), runtime.GOOS, runtime.GOARCH, revision)
	return err
}

// built is what this program was built from.
func built() (v, revision string) {
	v, revision = version, "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		if v == "" {
			v = info.Main.Version
		}
		modified := false
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				revision = s.Value
			case "vcs.modified":
				modified = s.Value == "true"
			}
		}
		if modified {
			revision += " (modified)"
		}
	}
	if v == "" {
		v = "(devel)"
	}
	return v, revision
}
