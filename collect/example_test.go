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
func ExampleCollect() {
	answer, err := collect.Collect(context.Background(), &collect.Options{States: whose.SetOf(whose.Listen)})
	if err != nil {
		log.Fatal(err)
	}
	for s := range answer.Sessions() {
		for _, o := range s.Owners {
			fmt.Printf("%v %v belongs to %s (%d)\n", s.Proto, s.Local, o.Comm, o.PID)
		}
	}
}

// The answer says itself what it could not see.
func ExampleCollect_coverage() {
	answer, err := collect.Collect(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Len(), "sessions by", answer.Coverage.Source)
	if err := answer.Coverage.Err(); err != nil {
		fmt.Println(err) // partial answer: 12 processes: permission denied
	}
}

// Sessions that meet a filter, in no more time than is allowed. The conditions
// go to the kernel where the kernel can apply them.
func ExampleCollect_filter() {
	expr, err := filter.Parse("tcp and state established and not remote in 127.0.0.0/8 and process ~ '^post'")
	if err != nil {
		log.Fatal(err)
	}
	answer, err := collect.Collect(context.Background(), &collect.Options{
		Filter:  expr,
		Sort:    []string{"remote_addr"},
		Timeout: 5 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	for s := range answer.Sessions() {
		fmt.Println(s.Local, s.Direction, s.Remote)
	}
}

// An agent that asks every few seconds keeps a collector open: buffers,
// descriptors and loaded programs are used again.
func ExampleCollector() {
	c := collect.Open()
	defer c.Close()
	opts := collect.Options{States: whose.SetOf(whose.Established)}
	for range 3 {
		answer, err := c.Collect(context.Background(), &opts)
		if err != nil {
			log.Fatal(err)
		}
		byProcess := make(map[string]int)
		for s := range answer.Sessions() {
			for _, o := range s.Owners {
				byProcess[o.Comm]++
			}
		}
		answer.Close()
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
