package nginx

import (
	"iter"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What is shipped passes nginx -t, with nothing changed but the paths and
// addresses that a test must not touch.
func TestShippedConfiguration(t *testing.T) {
	path := nginxPath(t)
	dir := folder(t)
	certificate(t, dir)
	s := &site{dir: dir, upstream: read(t, "statustail/upstream.conf")}
	newProxy(t, s)
	out, err := exec.Command(path, "-t", "-p", dir, "-c", s.write(t), "-e", filepath.Join(dir, "start.log")).CombinedOutput()
	if err != nil {
		t.Fatalf("nginx -t: %v\n%s", err, out)
	}
	for line := range lines(string(out)) {
		if !harmless(line) {
			t.Errorf("nginx -t says: %s", line)
		}
	}
}

// lines yields the lines of a text that are not empty.
func lines(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" && !yield(line) {
				return
			}
		}
	}
}

// harmless are the lines of nginx -t that are no warning about the
// configuration: success, and that a test is not run by root.
func harmless(line string) bool {
	return strings.Contains(line, "syntax is ok") || strings.Contains(line, "test is successful") ||
		strings.Contains(line, `the "user" directive makes sense only`)
}
