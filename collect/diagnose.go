package collect

import (
	"context"
	"os"
	"runtime"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// A Diagnosis lists the sources that work for this caller on this host, and the
// reasons why the others do not.
type Diagnosis struct {
	// OS and Kernel name the system: "linux", "6.12.1-amd64".
	OS, Kernel string
	// UID is the caller's effective user id.
	UID int
	// UserNS: the caller is in a user namespace of its own. Its identity and
	// privileges count for nothing outside.
	UserNS bool
	// Capabilities are the caller's relevant ones, by name.
	Capabilities []Capability
	// OpenFiles is the number of open files of the host, 0 if unknown.
	OpenFiles int
	// Sources are in the order in which auto tries them.
	Sources []SourceDiagnosis
	// Pin is the state of the directory of pinned iterators.
	Pin PinStatus
	// Auto is the source chosen by auto, empty for none, and Why the reason.
	Auto, Why string
	// Coverage is the one of a collection by Auto.
	Coverage whose.Coverage

	host host
}

// A Capability is a privilege that the caller has or lacks.
type Capability struct {
	Name string
	Held bool
	// For is its use.
	For string
}

// A SourceDiagnosis reports whether a source works.
type SourceDiagnosis struct {
	// Name of the source; the pinned iterators stand as "bpf (pinned)".
	Name string
	// Err is the reason why it does not answer, nil if it does.
	Err error
	// Open and Read are the durations of opening and of one collection.
	Open, Read time.Duration
	// Coverage is the one of this collection.
	Coverage whose.Coverage
}

// Diagnose tries every source once. It reports which work, why the others do
// not, and the choice of auto. Only Proc, CapturedProc, PinDir and NetNS of opts
// count.
func Diagnose(ctx context.Context, opts *Options) *Diagnosis {
	if opts == nil {
		opts = &Options{}
	}
	d := &Diagnosis{
		OS: runtime.GOOS, Kernel: kernelRelease(), UID: os.Geteuid(),
		UserNS: inInner("user"), Capabilities: capabilities(), host: readHost(),
	}
	d.OpenFiles = d.host.files
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
	o := Options{Source: source, Proc: opts.Proc, CapturedProc: opts.CapturedProc, PinDir: opts.PinDir, NetNS: opts.NetNS}
	c := Open()
	defer c.Close()
	c.only = choice{names: []string{source}, pinnedOnly: pinned, loadOnly: !pinned}
	pl, err := c.plan(ctx, &o, time.Now())
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

// whyAuto gives in a sentence the reason for auto's choice.
func whyAuto(c *whose.Coverage, d *Diagnosis) string {
	switch {
	case c.Pinned:
		return "pinned iterators are there and may be read: they are in the kernel already, need no privilege, and say more of a session than netlink"
	case c.Source == BPF && !mayEnter():
		return "the caller may not enter network namespaces, and programs see all of them"
	case c.Source == BPF && !d.host.loadingPays():
		return "netlink may not look into everything here, and bpf sees it"
	case c.Source == Netlink && d.host.loadingPays():
		return "the source bpf does not work here"
	case c.Source == Netlink && d.OpenFiles == 0:
		return "the number of open files is unknown (/proc/sys/fs/file-nr), and reading the links of few costs less than loading programs"
	case c.Source != Procfs:
		return d.host.compare()
	}
	return "neither bpf nor netlink works here"
}
