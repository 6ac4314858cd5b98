package collect_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/filter"
)

// Every listener of the host, and who it belongs to.
func ExampleSessions() {
	opts := collect.Options{States: whose.SetOf(whose.Listen)}
	for s, err := range collect.Sessions(context.Background(), &opts) {
		if err != nil {
			log.Fatal(err)
		}
		for _, o := range s.Owners {
			fmt.Printf("%v %v belongs to %s (%d)\n", s.Proto, s.Local, o.Comm, o.PID)
		}
	}
}

// The answer says itself what it could not see.
func ExampleSessions_coverage() {
	var coverage whose.Coverage
	for s, err := range collect.Sessions(context.Background(), &collect.Options{Coverage: &coverage}) {
		if err != nil {
			log.Fatal(err)
		}
		if s.Reason == whose.ReasonHidden {
			fmt.Println(s.Local, "belongs to somebody we may not look at")
		}
	}
	if err := coverage.Err(); err != nil {
		fmt.Println(err) // partial answer: 12 processes: permission denied
	}
}

// Sessions that meet a filter. Its conditions go to the kernel where the kernel
// can apply them.
func ExampleSessions_filter() {
	expr, err := filter.Parse("tcp and state established and not remote in 127.0.0.0/8 and process ~ '^post'")
	if err != nil {
		log.Fatal(err)
	}
	for s, err := range collect.Sessions(context.Background(), &collect.Options{Filter: expr}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(s.Local, s.Direction, s.Remote)
	}
}

// One collection into a slice, in no more time than is allowed.
func ExampleAppend() {
	sessions, err := collect.Append(context.Background(), nil, &collect.Options{
		Filter:  mustFilter(":443"),
		Sort:    []string{"remote_addr"},
		Timeout: 5 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(sessions), "sessions on port 443")
}

func mustFilter(text string) filter.Expr {
	expr, err := filter.Parse(text)
	if err != nil {
		log.Fatal(err)
	}
	return expr
}

// An agent that asks every few seconds keeps a collector open: buffers,
// descriptors and loaded programs are used again.
func ExampleCollector() {
	c := collect.Open()
	defer c.Close()
	opts := collect.Options{States: whose.SetOf(whose.Established)}
	var sessions []whose.Session
	for range 3 {
		var err error
		sessions, err = c.Append(context.Background(), sessions[:0], &opts)
		if err != nil {
			log.Fatal(err)
		}
		byProcess := make(map[string]int)
		for i := range sessions {
			for _, o := range sessions[i].Owners {
				byProcess[o.Comm]++
			}
		}
		time.Sleep(time.Second)
	}
}

// What works on this host, and what auto takes.
func ExampleDiagnose() {
	d := collect.Diagnose(context.Background(), nil)
	for _, s := range d.Sources {
		if s.Err != nil {
			fmt.Printf("%s: %v\n", s.Name, s.Err)
		}
	}
	fmt.Println(d.Auto, "because", d.Why)
}
