package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/zabbix"
)

// A zabbixCheck is the result of whose doctor --zabbix for its user.
type zabbixCheck struct {
	// User and Groups are those of this process, as in a command started by an
	// agent.
	User   string   `json:"user"`
	UID    int      `json:"uid"`
	Groups []string `json:"groups"`
	// Item is the output of whose zabbix get.
	Item zabbixItem `json:"item"`
	// Pin describes the pinned iterators. PinGroup is the group with the right to
	// read them.
	Pin      doctorPin `json:"pin"`
	PinGroup string    `json:"pin_group"`
	// Member: the user database has the user in this group. InGroup: this process
	// is in it.
	Member  bool `json:"member"`
	InGroup bool `json:"in_group"`
	// FileCapabilities are the capabilities of the file of this command.
	FileCapabilities []string `json:"file_capabilities"`
	// Next is the next step, a command if there is one, and Why its reason.
	Next string `json:"next"`
	Why  string `json:"why"`
}

// A zabbixItem is the account of one document.
type zabbixItem struct {
	Works    bool       `json:"works"`
	Complete bool       `json:"complete"`
	Gaps     whose.Gaps `json:"partial"`
	Source   string     `json:"source"`
	Pinned   bool       `json:"pinned"`
	// Took and Timeout are in microseconds: the time taken and the time allowed.
	Took            int64 `json:"took"`
	Timeout         int64 `json:"timeout"`
	Bytes           int   `json:"bytes"`
	Sessions        int   `json:"sessions"`
	Owned           int   `json:"owned"`
	Hidden          int   `json:"hidden"`
	HiddenProcesses int   `json:"hidden_processes"`
	HiddenSpaces    int   `json:"hidden_namespaces"`
	Listeners       int   `json:"listeners"`
	Unnamed         int   `json:"listeners_without_process"`
	Processes       int   `json:"processes"`
}

// runZabbix runs the doctor with --zabbix.
func (d *doctor) runZabbix(cmd *cobra.Command, pinDir string) error {
	job, err := newZabbixJob(cmd, &zabbixQuestion{question: question{
		source: "auto", netns: "all", proc: d.proc, timeout: zabbixTimeout,
	}}, nil)
	if err != nil {
		return err
	}
	c := checkZabbix(cmd.Context(), job, pinDir)
	if d.format == "json" {
		err = printJSON(d.sh.out, c)
	} else {
		err = d.printZabbix(c)
	}
	switch {
	case err != nil:
		return err
	case !c.Item.Works:
		return statusError(exitFailed)
	case d.strict && (!c.Item.Complete || c.Item.HiddenProcesses+c.Item.HiddenSpaces > 0):
		return statusError(exitPartial)
	}
	return nil
}

// checkZabbix makes one document and examines the ways to see more.
func checkZabbix(ctx context.Context, job *zabbixJob, pinDir string) *zabbixCheck {
	c := &zabbixCheck{UID: os.Geteuid(), User: nameOfUser(uint32(max(0, os.Geteuid()))), Groups: []string{}}
	groups := processGroups()
	for _, g := range groups {
		c.Groups = append(c.Groups, nameOfGroup(g))
	}
	c.Item = tryItem(ctx, job)
	status, _ := collect.InspectPin(pinDir) // the status holds its errors
	c.Pin = newDoctorPin(&status)
	c.FileCapabilities = fileCapabilities()
	if gid, ok := pinGroup(&status); ok {
		c.PinGroup = nameOfGroup(gid)
		c.InGroup = slices.Contains(groups, gid)
		c.Member = c.InGroup || isMember(c.UID, gid)
	}
	c.Next, c.Why = c.advice()
	return c
}

// tryItem makes the document as for an agent.
func tryItem(ctx context.Context, job *zabbixJob) zabbixItem {
	item := zabbixItem{Timeout: job.timeout.Microseconds()}
	doc, err := job.document(ctx)
	if err != nil {
		doc = failedDocument(err)
	}
	text, encoded := doc.Encode(zabbix.MaxSize, false)
	item.Took, item.Bytes = time.Since(job.began).Microseconds(), len(text)
	item.Works = err == nil && encoded == nil
	item.Complete, item.Gaps = doc.Complete, doc.Gaps
	item.Source, item.Pinned = doc.Source, doc.Pinned
	item.Sessions, item.Owned, item.Hidden = doc.Totals.Sessions, doc.Coverage.Owned, doc.Coverage.Hidden
	item.HiddenProcesses, item.HiddenSpaces = doc.Coverage.ProcessesHidden, doc.Coverage.NamespacesHidden
	item.Listeners, item.Processes = doc.Totals.Listeners, doc.Totals.Processes
	for _, r := range doc.Discovery.Listeners {
		if r.Process == "" {
			item.Unnamed++
		}
	}
	return item
}

func microseconds(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// processGroups returns the groups of this process.
func processGroups() []uint32 {
	groups := []uint32{uint32(max(0, os.Getegid()))}
	more, err := os.Getgroups()
	if err != nil {
		return groups
	}
	for _, g := range more {
		if g >= 0 && !slices.Contains(groups, uint32(g)) {
			groups = append(groups, uint32(g))
		}
	}
	return groups
}

// pinGroup returns the group with the right to read the pins.
func pinGroup(s *collect.PinStatus) (uint32, bool) {
	for _, p := range s.Pins {
		if p.Mode&0o040 != 0 {
			return p.GID, true
		}
	}
	return 0, false
}

// isMember asks the user database. The database may know of a group before a
// running process is in it.
func isMember(uid int, gid uint32) bool {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return false
	}
	ids, err := u.GroupIds()
	return err == nil && slices.Contains(ids, strconv.FormatUint(uint64(gid), 10))
}

// advice returns the next step and its reason.
func (c *zabbixCheck) advice() (next, why string) {
	i := &c.Item
	seen := i.HiddenProcesses+i.HiddenSpaces == 0
	slow := i.Works && i.Took > i.Timeout/5*4
	switch {
	case !i.Works:
		return "whose doctor", "nothing could be collected; it tells of each way to ask the kernel"
	case c.UID == 0:
		return "sudo -u zabbix whose doctor --zabbix", "this is what root sees; an agent runs as another user"
	case seen && slow:
		return "whose zabbix get --timeout " + brief(3*microseconds(i.Timeout)),
			"it took nearly all of its time: give the UserParameter a longer --timeout, and agent and item a longer one still"
	case seen:
		return "", "nothing is hidden from " + c.User + " and there is time to spare: nothing needs to be done"
	}
	return c.permission()
}

// permission returns the step to let the user see the owners.
func (c *zabbixCheck) permission() (next, why string) {
	pin := "sudo whose pin --group " + c.mainGroup() + " --traverse"
	readable := slices.ContainsFunc(c.Pin.Pins, func(p doctorPinFile) bool { return p.Readable })
	old := slices.ContainsFunc(c.Pin.Pins, func(p doctorPinFile) bool { return p.Version != c.Pin.Version })
	switch {
	case c.Pin.Unsafe != "":
		return "whose doctor", "no pin is believed there: " + c.Pin.Unsafe
	case len(c.Pin.Pins) == 0 && !c.Pin.BPFFS:
		return pin + " --mount", "no bpffs is mounted where the pin would be"
	case len(c.Pin.Pins) == 0:
		return pin, "nothing is pinned; the unit whose-pin.service does it at each boot"
	case old:
		return pin, "what is pinned is of another version of whose"
	case c.PinGroup == "" || c.PinGroup == "root" && !c.InGroup:
		return pin, "only root may read what is pinned"
	case !c.Member:
		return "sudo usermod --append --groups " + c.PinGroup + " " + c.User,
			"the group " + c.PinGroup + " may read what is pinned, and " + c.User + " is not in it; restart the agent then"
	case !c.InGroup:
		return "sudo systemctl restart zabbix-agent2",
			c.User + " is in the group " + c.PinGroup + ", but this process is not: the agent began before that"
	case len(c.Pin.Blocked) > 0 && !readable:
		return pin, "a folder above the pin cannot be passed: " + strings.Join(c.Pin.Blocked, ", ")
	}
	return "whose doctor", "a pin may be read and something is hidden all the same; it tells what"
}

// mainGroup is the group for the pin: the user's own.
func (c *zabbixCheck) mainGroup() string {
	if len(c.Groups) > 0 {
		return c.Groups[0]
	}
	return "zabbix"
}

// printZabbix writes the report for a person.
func (d *doctor) printZabbix(c *zabbixCheck) error {
	width := d.sh.width()
	if width == 0 {
		width = helpMaxWidth
	}
	var text bytes.Buffer
	p := helpPrinter{w: &text, width: max(width, helpMinWidth)}
	p.text(0, fmt.Sprintf("%s for Zabbix, as the user %s in %s.",
		buildVersion().short(), c.User, groupsText(c.Groups)))
	p.head("The item whose.get")
	p.rows(c.itemRows())
	p.head("Permission")
	p.rows(c.permissionRows())
	p.head("Next")
	if c.Next != "" {
		fmt.Fprintf(&text, "  %s\n", printable(c.Next))
	}
	p.text(2, sentence(printable(c.Why)))
	_, err := io.WriteString(d.sh.out, d.sh.legible(text.String()))
	return writeError(err)
}

func groupsText(groups []string) string {
	if len(groups) == 1 {
		return "the group " + groups[0]
	}
	return "the groups " + strings.Join(groups, ", ")
}

// itemRows describe the output of the item.
func (c *zabbixCheck) itemRows() []row {
	i := &c.Item
	if !i.Works {
		return []row{{"no", printable(notSeen(&whose.Coverage{Gaps: i.Gaps}))}}
	}
	how := i.Source
	if i.Pinned {
		how += ", through the pin"
	}
	rows := []row{
		{"works", fmt.Sprintf("by %s, in %s of the %s that it has by itself; %d KiB of %d", how,
			brief(microseconds(i.Took)), brief(microseconds(i.Timeout)),
			(i.Bytes+1023)>>10, zabbix.MaxSize>>10)},
		{"sees", fmt.Sprintf("%s, %d with owners; %s, %d without a process; %s of processes",
			plural(i.Sessions, "session", "sessions"), i.Owned, plural(i.Listeners, "listener", "listeners"), i.Unnamed,
			plural(i.Processes, "row", "rows"))},
	}
	if len(i.Gaps) > 0 {
		rows = append(rows, row{"misses", printable(i.Gaps.String())})
	}
	if i.Hidden > 0 {
		rows = append(rows, row{"hidden", plural(i.Hidden, "session has", "sessions have") +
			" an owner that may not be looked into; those of a unit or container count for it, where the kernel tells"})
	}
	return rows
}

// permissionRows describe the two ways to see all owners.
func (c *zabbixCheck) permissionRows() []row {
	pin := row{"pin", "nothing is pinned in " + printable(c.Pin.Dir)}
	switch {
	case len(c.Pin.Pins) > 0 && c.Pin.Works:
		pin.says = printable(c.Pin.Dir) + " works for you"
	case len(c.Pin.Pins) > 0:
		pin.says = printable(c.Pin.Dir) + " does not work for you: " + printable(c.Pin.Error)
	}
	rows := []row{pin}
	if c.PinGroup != "" {
		member := "not in it"
		switch {
		case c.InGroup:
			member = "in it"
		case c.Member:
			member = "in it, but this process is not yet"
		}
		rows = append(rows, row{"group", "the pin is for the group " + c.PinGroup + "; " + c.User + " is " + member})
	}
	caps := row{"capabilities", "the file of this command has none, and needs none with a pin"}
	if len(c.FileCapabilities) > 0 {
		caps.says = "the file of this command has " + strings.Join(c.FileCapabilities, ", ")
		if missing := c.missingCapabilities(); len(missing) > 0 {
			caps.says += "; without a pin it needs " + strings.Join(missing, " and ") + " too"
		}
	}
	return append(rows, caps)
}

// missingCapabilities are the missing ones of those needed to see all owners
// without a pin.
func (c *zabbixCheck) missingCapabilities() []string {
	return slices.DeleteFunc([]string{"CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"}, func(name string) bool {
		return slices.Contains(c.FileCapabilities, name)
	})
}
