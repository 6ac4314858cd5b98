package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
)

// aboutPin is in the man page too. It says who should have the pin.
const aboutPin = `Load the BPF iterators once and pin them as files, so that others can ask the
kernel through them without any privilege, and without starting a BPF program of their own.
Needs root, or CAP_BPF and CAP_PERFMON and permission to write the directory. Iterators that
are there already are replaced in one step; a command that reads at that moment gets the old
or the new ones. The pin lasts until whose unpin or until the host goes down: the unit
whose-pin.service sets it at each boot.

Who may read these files learns, at any time and of the whole host: every TCP and UDP session
of all users, of all containers and of all network namespaces, its addresses, ports, state and
queues, its user id, mark, cookie, cgroup id and device, and of a connection the round-trip
time, the bytes sent and received and how it controls congestion; the names, process ids, start
times and descriptors of all processes that hold one, and the ids of all others. This is what
ss -tunapie shows to root in every namespace. It is not the data that is sent, no command line
and no environment. So give the pin to those who may know who talks to whom: a monitoring
agent, administrators; not to every user of a shared host. Without --group only root may read
it.

The directory, and each one above it, has to belong to root or to you, and others must not be
able to write to it; above it one like /tmp will do. In another one nothing is pinned, and no
command reads what is there. So mount bpffs with mode=755: with its default mode everybody may
write to it, and whoever makes the directory first keeps you from pinning.

Many hosts mount /sys/fs/bpf so that nobody but root can pass it, and then the modes of the
files in it help nobody. With --traverse the right to pass (x, not to list) is added for
everyone to the folders above the pin. Other programs' pins keep their own modes, so look at
those first: whose doctor shows what is closed.`

// The default modes of a pin, without --mode.
const (
	modeOwner = fs.FileMode(0o400)
	modeGroup = fs.FileMode(0o440)
)

func newPin(sh *shell) *cobra.Command {
	var group, mode string
	var mount, traverse bool
	cmd := &cobra.Command{
		Use:   "pin [flags]",
		Short: "let a group list every session without privilege",
		Long:  aboutPin,
		Example: "sudo whose pin --group whose --traverse\tlet the members of the group whose list everything\n" +
			"sudo whose pin\tlet only root, but start faster\n" +
			"sudo usermod -aG whose zabbix\tthen give the agent the group",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts, err := pinOptions(cmd, group, mode)
			if err != nil {
				return err
			}
			opts.MountBPFFS, opts.Traverse = mount, traverse
			if err := collect.Pin(opts); err != nil {
				return err
			}
			return sayPinned(sh, opts)
		},
	}
	flags := flagGroup{cmd.Flags(), groupShow}
	flags.text(&group, "group", "", "", "GROUP", "let the members of this group read, too")
	flags.text(&mode, "mode", "", "", "MODE", "permissions in octal; else 0400, or 0440 with --group")
	flags.boolean(&mount, "mount", "", "mount bpffs if it is not mounted")
	flags.boolean(&traverse, "traverse", "", "let others pass the folders above, see above")
	complete(cmd, "group", completeGroups)
	return cmd
}

// pinOptions reads the flags.
func pinOptions(cmd *cobra.Command, group, mode string) (collect.PinOptions, error) {
	opts := collect.PinOptions{GID: -1, Mode: modeOwner}
	var err error
	if opts.Dir, err = pinDir(cmd); err != nil {
		return opts, err
	}
	if group != "" {
		if opts.GID, err = groupID(group); err != nil {
			return opts, err
		}
		opts.Mode = modeGroup
	}
	if mode == "" {
		return opts, nil
	}
	bits, err := strconv.ParseUint(mode, 8, 16)
	if err != nil || fs.FileMode(bits)&^fs.ModePerm != 0 {
		return opts, usagef("--mode: want permissions in octal such as 0440, got %q", mode)
	}
	if bits&0o022 != 0 {
		return opts, usagef("--mode: want nobody but the owner to write to a pin, got %q", mode)
	}
	opts.Mode = fs.FileMode(bits)
	return opts, nil
}

// groupID finds a group by its name or number.
func groupID(group string) (int, error) {
	if id, err := strconv.ParseUint(group, 10, 31); err == nil {
		return int(id), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, whose.WithHint(usagef("--group: no group %q on this host", group),
			"make it first: groupadd --system %s", group)
	}
	id, err := strconv.Atoi(g.Gid)
	if err != nil {
		return 0, fmt.Errorf("group %s: %w", group, err)
	}
	return id, nil
}

// sayPinned writes what was pinned and who may read it now, as the files say.
func sayPinned(sh *shell, opts collect.PinOptions) error {
	status, err := collect.InspectPin(opts.Dir)
	if err != nil {
		return err
	}
	pins := status.Pins[:0] // without what another version left
	for _, p := range status.Pins {
		if p.Version == status.Version {
			pins = append(pins, p)
		}
	}
	out := sh.noted()
	fmt.Fprintf(out, "pinned %s in %s\n", plural(len(pins), "iterator", "iterators"), printable(status.Dir))
	if len(pins) == 0 {
		return nil
	}
	pin := pins[0]
	fmt.Fprintf(out, "every session of this host may now be listed by %s\n",
		readers(pin.Mode, pin.UID, pin.GID, readUserFiles("/etc/group", "/etc/passwd")))
	if len(status.Blocked) > 0 && pin.Mode&0o077 != 0 {
		fmt.Fprintf(out, "but only root can pass %s: whose pin --traverse opens the way\n", printable(strings.Join(status.Blocked, ", ")))
	}
	return nil
}

// readers names those who may read a pin.
func readers(mode fs.FileMode, uid, gid uint32, files userFiles) string {
	owner := nameOfUser(uid)
	switch {
	case mode&0o004 != 0:
		return "every user"
	case mode&0o040 == 0:
		return owner + " alone"
	}
	group := nameOfGroup(gid)
	says := owner + " and the group " + group
	members := files.members(gid)
	switch {
	case len(members) > 0:
		return fmt.Sprintf("%s (%s)", says, someNames(members))
	case gid != 0 && files.has(gid):
		return says + ", which has no user in /etc/group (usermod -aG " + group + " NAME)"
	}
	return says
}

// someNames joins names, the first of many.
func someNames(names []string) string {
	const most = 5
	if len(names) > most {
		return printable(strings.Join(names[:most], ", ")) + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return printable(strings.Join(names, ", "))
}

// userFiles are the lines of the host's files of groups and of users, by their
// columns. Those of a directory service are not among them.
type userFiles struct{ groups, users [][]string }

// The columns of /etc/group and /etc/passwd.
const (
	columnName    = 0
	columnGroupID = 2 // of a group
	columnMembers = 3 // of a group
	columnPrimary = 3 // of a user: the number of a group
)

func readUserFiles(groups, users string) userFiles {
	return userFiles{lineFields(groups, columnMembers+1), lineFields(users, columnPrimary+1)}
}

// has reports whether the host's file knows a group.
func (f userFiles) has(gid uint32) bool {
	id := strconv.FormatUint(uint64(gid), 10)
	return slices.ContainsFunc(f.groups, func(g []string) bool { return g[columnGroupID] == id })
}

// members returns the users in a group, by the one or the other file.
func (f userFiles) members(gid uint32) []string {
	id := strconv.FormatUint(uint64(gid), 10)
	var members []string
	for _, g := range f.groups {
		if g[columnGroupID] == id {
			members = append(members, strings.FieldsFunc(g[columnMembers], func(r rune) bool { return r == ',' })...)
		}
	}
	for _, u := range f.users {
		if u[columnPrimary] == id && gid != 0 {
			members = append(members, u[columnName])
		}
	}
	slices.Sort(members)
	return slices.Compact(members)
}

// lineFields returns the fields of the lines of a file like /etc/passwd that have at
// least so many. An unreadable file has none.
func lineFields(path string, least int) [][]string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var all [][]string
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(strings.TrimRight(line, "\n"), ":"); len(f) >= least {
			all = append(all, f)
		}
	}
	return all
}
