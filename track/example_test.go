package track_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/track"
)

// Follow what curl does for half a minute.
func Example() {
	curl, err := filter.Parse("process curl")
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	t, err := track.Start(ctx, &track.Options{Filter: curl, NoInitial: true})
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	for e, err := range t.Events(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		switch e.Kind {
		case whose.EventLost:
			fmt.Printf("%d events lost: %s\n", e.Lost, e.Why)
		case whose.EventClose:
			fmt.Printf("%v closed after %v: %d bytes out, %d in\n", e.Session.Remote, e.Duration, e.Sent.Bytes, e.Received.Bytes)
		default:
			fmt.Println(e.Kind, e.Session.Remote)
		}
	}
}

// Ask the live table, as often as one likes: the kernel is not troubled.
func ExampleTracker_Count() {
	t, err := track.Start(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	listening, err := filter.Parse("state listen")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(t.Count(nil), "sessions, of which", t.Count(listening), "listen")
	for s := range t.Sessions(listening) {
		fmt.Println(s.Local, s.Owners)
	}
}

// Close ends the following; what happened until then can still be read.
func ExampleTracker_Close() {
	t, err := track.Start(context.Background(), &track.Options{Events: whose.SetOf(whose.EventOpen, whose.EventFail)})
	if err != nil {
		log.Fatal(err)
	}
	stop := time.AfterFunc(10*time.Second, func() { t.Close() })
	defer stop.Stop()
	for e, err := range t.Events(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Time.Format(time.TimeOnly), e.Kind, e.Session.Remote)
	}
	fmt.Println(t.Stats().Lost.Total(), "lost")
}

// Say how sessions are followed, and what is not seen that way.
func ExampleTracker_Source() {
	t, err := track.Start(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	s := t.Source()
	fmt.Println("source", s.Name)
	if s.Why != "" {
		fmt.Printf("%s (%s)\n", s.Why, s.Hint)
	}
	for _, g := range s.Gaps {
		fmt.Println("not seen:", g)
	}
}
