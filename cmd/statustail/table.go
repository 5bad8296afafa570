package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// printTable writes rows in columns for people, the first of them in capitals.
func printTable(w io.Writer, header string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(strings.Fields(header), "\t"))
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = cmp.Or(oneLine(cell), "-")
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// printFacts writes names and values in two columns. Values that are empty are
// left out.
func printFacts(w io.Writer, facts ...string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := 0; i < len(facts); i += 2 {
		if value := oneLine(facts[i+1]); value != "" {
			fmt.Fprintf(t, "%s\t%s\n", facts[i], value)
		}
	}
	return t.Flush()
}

// printText writes prose, indented, below a line of its own.
func printText(w io.Writer, title, text string) {
	if text = strings.TrimSpace(printable(text)); text != "" {
		fmt.Fprintf(w, "\n%s\n  %s\n", oneLine(title), strings.ReplaceAll(text, "\n", "\n  "))
	}
}

// printDocument writes a document as one line of JSON.
func printDocument(w io.Writer, document []byte) error {
	_, err := fmt.Fprintf(w, "%s\n", plainJSON(document))
	return err
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// moment is a time as tables show it; empty for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

// amount is a number of things: "1 issue", "2 issues".
func amount[N int | int64](n N, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprint(n, " ", thing)
}
