package nginx

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A site is the shipped configuration, moved into a folder of its own: with
// other paths and addresses, and its times divided by a factor. Everything
// else is as it is shipped.
type site struct {
	dir string
	// listen and upstream replace the files of those names in statustail/.
	listen, upstream string
	// servers are the files in statustail/servers/, by name.
	servers map[string]string
	// faster divides every time; 0 means 1.
	faster int
	// edits are further replacements in statustail.conf and
	// statustail/streams.conf, as pairs. What is replaced must be there.
	edits []string
	// workers replaces "auto"; 0 means 2.
	workers int
}

// write writes the files and returns the path of the main one.
func (s *site) write(t testing.TB) string {
	t.Helper()
	text, streams := read(t, "statustail.conf"), read(t, "statustail/streams.conf")
	replace := func(old, replacement string) {
		t.Helper()
		if !strings.Contains(text+streams, old) {
			t.Fatalf("neither statustail.conf nor statustail/streams.conf holds %q", old)
		}
		text = strings.ReplaceAll(text, old, replacement)
		streams = strings.ReplaceAll(streams, old, replacement)
	}
	for i := 0; i < len(s.edits); i += 2 {
		replace(s.edits[i], s.edits[i+1])
	}
	replace("pid /run/nginx.pid;", "pid nginx.pid;\ndaemon off;")
	replace("/var/log/nginx/", s.dir+"/")
	replace("/var/cache/", s.dir+"/cache/")
	if err := os.MkdirAll(filepath.Join(s.dir, "cache"), 0o777); err != nil {
		t.Fatal(err)
	}
	workers := s.workers
	if workers == 0 {
		workers = 2
	}
	replace("worker_processes auto;", fmt.Sprintf("worker_processes %d;", workers))
	// The limit of descriptors is the machine's here.
	replace("worker_rlimit_nofile 131072;", "")
	replace("worker_connections 65536;", "worker_connections 19000;")
	temp := "http {"
	for _, name := range []string{"client_body", "proxy", "fastcgi", "scgi", "uwsgi"} {
		temp += fmt.Sprintf("\n    %s_temp_path %s/%s_temp;", name, s.dir, name)
	}
	replace("http {", temp)

	conf := filepath.Join(s.dir, "statustail.conf")
	put(t, conf, faster(text, s.faster))
	beside := filepath.Join(s.dir, "statustail")
	put(t, filepath.Join(beside, "streams.conf"), faster(streams, s.faster))
	put(t, filepath.Join(beside, "listen.conf"), s.listen)
	put(t, filepath.Join(beside, "upstream.conf"), s.upstream)
	for name, text := range s.servers {
		put(t, filepath.Join(beside, "servers", name), text)
	}
	return conf
}

// timed are the directives whose argument is a time to be scaled.
var timed = regexp.MustCompile(`(?m)^(\s*(?:\w+_timeout)\s+)(\d+)s;`)

// faster divides the times of a configuration by a factor.
func faster(text string, factor int) string {
	if factor <= 1 {
		return text
	}
	return timed.ReplaceAllStringFunc(text, func(directive string) string {
		m := timed.FindStringSubmatch(directive)
		seconds, _ := strconv.Atoi(m[2])
		ms := (time.Duration(seconds) * time.Second / time.Duration(factor)).Milliseconds()
		return fmt.Sprintf("%s%dms;", m[1], ms)
	})
}

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func put(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
