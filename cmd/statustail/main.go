// Command statustail serves live status widgets from MongoDB, and changes
// what they show.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"statustail/stream/store"
)

func main() {
	os.Exit(run(untilSignal(), os.Args[1:], os.Stdout, os.Stderr, os.Getenv))
}

// untilSignal is a context that is done at the first signal to end. By then
// the default is back, so whoever has seen the program react can send a second
// one, and it ends the process at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		cancel()
	}()
	return ctx
}

// Exit statuses.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// cli is the command line. Every flag can be given as an environment variable
// too, by the rule of envName.
type cli struct {
	Serve     serveCmd     `cmd:"" default:"withargs" help:"Serve live status widgets (also when no command is named)."`
	Init      initCmd      `cmd:"" help:"Prepare a MongoDB database: collections, indexes, validators, expiry."`
	Page      pageCmd      `cmd:"" help:"Create, change, show and delete status pages."`
	Component componentCmd `cmd:"" help:"Create, change, show and delete components, and set their state."`
	Issue     issueCmd     `cmd:"" help:"Open, schedule, update, end, show and delete issues."`
	Publish   publishCmd   `cmd:"" help:"Send an event of your application to everybody who watches a page."`
	Watch     watchCmd     `cmd:"" help:"Follow a live stream in the terminal."`
	Health    healthCmd    `cmd:"" help:"Ask a server on this machine whether it is ready (for health checks)."`
	Version   versionCmd   `cmd:"" help:"Print the version, and what it was built from."`

	PrintVersion versionFlag `name:"version" help:"Print the version."`
}

// app is what commands run in. What they are asked for goes to stdout, for
// programs to take; what there is to say about it goes to stderr.
type app struct {
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
	// embedded is the address at which a server without --mongodb-uri has its
	// database.
	embedded string
	// given holds the flags that stand on the command line itself.
	given map[string]bool
}

// note says something in one line.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.stderr, "%s\n", oneLine(fmt.Sprintf(format, args...)))
}

// A usageError is the fault of the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run is the whole program: it returns the exit status. Signals reach it as
// the end of ctx.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, getenv func(string) string) int {
	a := &app{ctx: ctx, stdout: stdout, stderr: stderr, embedded: defaultEmbeddedListen, given: map[string]bool{}}
	answered := false
	parser, err := newParser(getenv, stdout, stderr, func(int) { answered = true })
	if err != nil {
		return fail(stderr, fmt.Errorf("the command line is built wrong: %w", err))
	}
	parsed, err := parser.Parse(args)
	switch {
	case answered: // --help or --version; what else the line lacks does not matter
		return exitOK
	case err != nil:
		return fail(stderr, usageError{fmt.Errorf("%w (see statustail --help)", err)})
	}
	for _, part := range parsed.Path {
		if part.Flag != nil && !part.Resolved {
			a.given[part.Flag.Name] = true
		}
	}
	return fail(stderr, parsed.Run(a))
}

func newParser(getenv func(string) string, stdout, stderr io.Writer, exit func(int)) (*kong.Kong, error) {
	return kong.New(new(cli),
		kong.Name("statustail"),
		kong.Description("Live status widgets, pushed from MongoDB to every browser that shows one.\n\n"+
			"Every flag can be set by an environment variable: --mongodb-uri is STATUSTAIL_MONGODB_URI."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.ValueFormatter(helpOf),
		kong.Resolvers(environment(getenv)),
		kong.Writers(stdout, stderr),
		kong.Exit(exit),
	)
}

// helpOf is what help says of a flag: its default belongs to it.
func helpOf(v *kong.Value) string {
	if v.Default == "" {
		return v.Help
	}
	return v.Help + " Default: " + v.Default + "."
}

// fail prints an error in one line and chooses the exit status.
func fail(stderr io.Writer, err error) int {
	if err == nil || errors.Is(err, context.Canceled) && !errors.As(err, new(usageError)) {
		return exitOK
	}
	fmt.Fprintf(stderr, "statustail: %s\n", oneLine(err.Error()))
	var usage usageError
	var input *store.InputError
	if errors.As(err, &usage) || errors.As(err, &input) {
		return exitUsage
	}
	return exitFailure
}

// environment gives flags that are not on the command line their values from
// the environment. An empty variable counts as none. What a flag of the line
// alone may say, such as that something may be lost, has none.
func environment(getenv func(string) string) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		switch flag.Name {
		case "help", "yes":
			return nil, nil
		}
		if value := getenv(envName(flag.Name)); value != "" {
			return value, nil
		}
		return nil, nil
	})
}

func envName(flag string) string {
	return "STATUSTAIL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// oneLine is text from elsewhere in one line of a terminal.
func oneLine(s string) string { return strings.Join(strings.Fields(printable(s)), " ") }

// printable is text from elsewhere as it may go to a terminal: control
// characters, which could move the cursor or recolour what others wrote, are
// replaced.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			return '\uFFFD'
		}
		return r
	}, s)
}
