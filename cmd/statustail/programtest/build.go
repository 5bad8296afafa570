// Package programtest builds and runs the real program for end-to-end tests,
// on free ports and folders of its own. It must never be imported by the
// product.
package programtest

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Race says whether the program is built with the race detector: as the tests
// are, unless they set it before the first Build.
var Race = raceEnabled

// Build gives the path of the program, built once for all tests of a process,
// or what STATUSTAIL_PROGRAM names.
func Build(t testing.TB) string {
	t.Helper()
	path := os.Getenv("STATUSTAIL_PROGRAM")
	var err error
	if path != "" {
		_, err = os.Stat(path) // so that the go command knows of it, too: see dependOn
	} else {
		path, err = build()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var build = sync.OnceValues(func() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	source := filepath.Dir(filepath.Dir(here))
	if err := dependOn(filepath.Dir(filepath.Dir(source))); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "statustail-program")
	if err != nil {
		return "", err
	}
	made = dir
	path := filepath.Join(dir, "statustail")
	args := []string{"build", "-o", path}
	if Race {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, ".")...)
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

// dependOn reads the folders that the program is built from. The go command
// remembers what a test has passed until a file changes that it imports or has
// looked at; that it runs a program which is built from others, it cannot know.
func dependOn(module string) error {
	for _, part := range []string{"cmd", "stream", "widget"} {
		err := filepath.WalkDir(filepath.Join(module, part), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == "node_modules" {
				return fs.SkipDir
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	_, err := os.Stat(filepath.Join(module, "go.sum"))
	return err
}

// made is the folder of the program, if one was built.
var made string

// Main runs the tests of a package and what is to be done after them, removes
// what was built for them, and ends the process.
func Main(m *testing.M, after ...func()) {
	code := m.Run()
	for _, f := range after {
		f()
	}
	if made != "" {
		os.RemoveAll(made)
	}
	os.Exit(code)
}

// Command is a run of the program, not started yet. Its stderr is to be given
// to Raced.
func Command(ctx context.Context, t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, Build(t), args...)
	// By default a program with the race detector sleeps for a second before
	// it ends, in case another thread has found something meanwhile.
	cmd.Env = append(os.Environ(), strings.TrimSpace("GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=20"))
	return cmd
}

// raced is the beginning of the race detector's report.
const raced = "WARNING: DATA RACE"

// Raced fails the test if the race detector reported something in what a
// program printed on stderr.
func Raced(t testing.TB, stderr string) {
	t.Helper()
	if _, report, found := strings.Cut(stderr, raced); found {
		t.Errorf("the program has a data race:%.4000s", report)
	}
}
