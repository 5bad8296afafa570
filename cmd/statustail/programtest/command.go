package programtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Run runs a command of the program against a database, and gives what it
// printed.
func Run(t testing.TB, uri string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := Command(ctx, t, args...)
	cmd.Env = append(cmd.Env, "STATUSTAIL_MONGODB_URI="+uri)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	Raced(t, stderr.String())
	if err != nil {
		return "", fmt.Errorf("statustail %.200q: %w\n%.2000s", args, err, &stderr)
	}
	return strings.TrimSpace(string(out)), nil
}

// CLI runs a command of the program against the server's database and gives
// what it printed. It must succeed.
func (p *Program) CLI(args ...string) string {
	p.t.Helper()
	out, err := Run(p.t, p.MongoURI, args...)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// Fails runs `statustail serve` as Start does, but expects it to end by itself,
// and gives its exit status and what it said.
func Fails(t testing.TB, args ...string) (code int, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := Command(ctx, t, serveArgs(t, args)...).CombinedOutput()
	Raced(t, string(out))
	var exit *exec.ExitError
	if !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("it did not fail: %v\n%s", err, out)
	}
	return exit.ExitCode(), string(out)
}
