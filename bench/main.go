// Command bench compares SSE servers on one machine: statustail's fan-out
// engine, what others use, and a bare loop of write(2), which is the limit.
//
//	go run .            everything, as a Markdown table
//	go run . -n 2000    with fewer subscribers
//
// Each server and each load generator is a process of its own (the same
// binary), told what to do in lines of JSON on its standard input.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "serve":
			exit(serve(os.Args[2]))
		case "load":
			exit(load())
		}
	}
	var o options
	flag.IntVar(&o.n, "n", 15000, "subscribers")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; medians are reported")
	flag.IntVar(&o.publishes, "publishes", 20, "events in each round")
	flag.IntVar(&o.size, "size", 200, "bytes of data in an event")
	flag.IntVar(&o.churn, "churn", 100000, "connections opened and closed in the churn phase")
	kinds := flag.String("servers", strings.Join(kindNames(), ","), "which servers, in order")
	phases := flag.String("phases", "fanout,stall,stalled100,burst,churn", "which measurements")
	flag.Parse()
	o.kinds, o.phases = strings.Split(*kinds, ","), strings.Split(*phases, ",")
	exit(run(o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
