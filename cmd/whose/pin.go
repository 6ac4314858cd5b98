package main

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"

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
			sh.remark("pinned in %s, %s", opts.Dir, readers(opts, group))
			return nil
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

// readers describes the users with the right to read now.
func readers(opts collect.PinOptions, group string) string {
	switch {
	case opts.Mode&0o004 != 0:
		return "readable by every user of this host"
	case opts.Mode&0o040 != 0 && group != "":
		return "readable by root and the group " + group
	}
	return "readable by root"
}
