package collect

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A Diagnosis says what works for this caller on this host, and why the rest
// does not.
type Diagnosis struct {
	// OS and Kernel name the system: "linux", "6.12.1-amd64".
	OS, Kernel string
	// UID is the caller's effective user id.
	UID int
	// UserNS tells that the caller is in a user namespace of its own: whatever it
	// is or holds counts for nothing outside.
	UserNS bool
	// Capabilities are those of the caller that matter here, by name.
	Capabilities []Capability
	// OpenFiles is the number of open files of the host, 0 where not known.
	OpenFiles int
	// Sources, in the order in which auto would try them.
	Sources []SourceDiagnosis
	// Pin is what was found in the directory of pinned iterators.
	Pin PinStatus
	// Auto is the source that auto takes, empty for none, and Why the reason.
	Auto, Why string
	// Coverage is that of a collection by Auto.
	Coverage whose.Coverage
}

// A Capability is a privilege of the caller, or one that it lacks.
type Capability struct {
	Name string
	Held bool
	// For says what it is good for.
	For string
}

// A SourceDiagnosis says whether a source works.
type SourceDiagnosis struct {
	// Name of the source; the pinned iterators stand as "bpf (pinned)".
	Name string
	// Err is why it does not answer, nil where it does.
	Err error
	// Open and Read are how long opening and one collection took.
	Open, Read time.Duration
	// Coverage of that collection.
	Coverage whose.Coverage
}

// Diagnose tries every source once and says what works, what does not and
// why, and what auto takes. Only Proc, PinDir and NetNS of opts count.
func Diagnose(ctx context.Context, opts *Options) *Diagnosis {
	if opts == nil {
		opts = &Options{}
	}
	d := &Diagnosis{
		OS: runtime.GOOS, Kernel: kernelRelease(), UID: os.Geteuid(),
		UserNS: inInner("user"), Capabilities: capabilities(), OpenFiles: openFiles(),
	}
	d.Pin, _ = InspectPin(pinDir(opts))
	for _, try := range []struct {
		name, source string
		pinned       bool
	}{{"bpf (pinned)", BPF, true}, {BPF, BPF, false}, {Netlink, Netlink, false}, {Procfs, Procfs, false}} {
		d.Sources = append(d.Sources, diagnoseSource(ctx, opts, try.name, try.source, try.pinned))
	}
	auto := *opts
	auto.Source = Auto
	if a, err := Collect(ctx, &auto); err == nil {
		d.Coverage = a.Coverage
		d.Auto, d.Why = d.Coverage.Source, whyAuto(&d.Coverage, d)
	}
	return d
}

// diagnoseSource makes one collection by one source and no other.
func diagnoseSource(ctx context.Context, opts *Options, name, source string, pinned bool) SourceDiagnosis {
	d := SourceDiagnosis{Name: name}
	o := Options{Source: source, Proc: opts.Proc, PinDir: opts.PinDir, NetNS: opts.NetNS}
	c := Open()
	defer c.Close()
	c.only = choice{names: []string{source}, pinnedOnly: pinned, loadOnly: !pinned}
	pl, err := c.plan(&o, time.Now())
	if err == nil {
		began := time.Now()
		_, err = c.source(source, pl, c.only)
		d.Open = time.Since(began)
	}
	if err != nil {
		d.Err = err
		return d
	}
	began := time.Now()
	a, err := c.Collect(ctx, &o)
	d.Read, d.Err = time.Since(began), err
	if err == nil {
		d.Coverage = a.Coverage
	}
	return d
}

// whyAuto says in a sentence why auto took the source that it took.
func whyAuto(c *whose.Coverage, d *Diagnosis) string {
	switch {
	case c.Pinned:
		return "pinned iterators are there and may be read: the whole host in one pass, without privilege"
	case c.Source == BPF:
		return fmt.Sprintf("%d open files: loading programs costs less than reading the link of every descriptor", d.OpenFiles)
	case c.Source == Netlink && d.OpenFiles <= manyFiles:
		return fmt.Sprintf("%d open files: few enough that reading their links costs less than loading programs", d.OpenFiles)
	case c.Source == Netlink:
		return "the source bpf does not work here"
	}
	return "neither bpf nor netlink works here"
}
