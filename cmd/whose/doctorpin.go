package main

import (
	"fmt"
	"os/user"
	"strconv"
	"strings"

	"github.com/seed-44df2ae6/whose/collect"
)

// pinRows names the pins and their readers for a person.
func pinRows(s *collect.PinStatus) []row {
	dir := printable(s.Dir)
	var rows []row
	if s.Unsafe != nil {
		rows = append(rows, row{dir, "not used, since others could exchange what is there: " + oneLine(s.Unsafe)})
	}
	for i := range s.Pins {
		p := &s.Pins[i]
		says := "may not be read by you"
		if p.Readable {
			says = "may be read by you"
		}
		says += fmt.Sprintf("; mode %04o, user %s, group %s", p.Mode, nameOfUser(p.UID), nameOfGroup(p.GID))
		if p.Version != s.Version {
			says += fmt.Sprintf("; of version %d, but this whose reads %d: pin again", p.Version, s.Version)
		}
		rows = append(rows, row{printable(p.Path), says})
	}
	switch {
	case s.Unsafe != nil:
	case len(s.Pins) == 0 && !s.BPFFS:
		rows = append(rows, row{dir, "nothing is pinned, and it is not on a bpffs; whose pin --mount" + pinDirFlag(s.Dir) + " mounts one"})
	case len(s.Pins) == 0:
		rows = append(rows, row{dir, "nothing is pinned; sudo whose pin --group whose" + pinDirFlag(s.Dir) + " would let a group list everything"})
	case s.Works != nil:
		rows = append(rows, row{dir, "does not work for you: " + oneLine(s.Works)})
	default:
		rows = append(rows, row{dir, "works for you"})
	}
	if len(s.Blocked) > 0 && len(s.Pins) > 0 {
		rows = append(rows, row{printable(strings.Join(s.Blocked, ", ")),
			"closed for others, whatever the modes of the files; whose pin --traverse opens the way"})
	}
	return rows
}

// pinDirFlag is the flag for the directory dir, a space first.
func pinDirFlag(dir string) string {
	if dir == collect.DefaultPinDir {
		return ""
	}
	return " --pin-dir " + printable(dir)
}

func nameOfUser(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return printable(u.Username)
	}
	return id
}

func nameOfGroup(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return printable(g.Name)
	}
	return id
}

// A doctorPin is the same as JSON.
type doctorPin struct {
	Dir     string          `json:"dir"`
	BPFFS   bool            `json:"bpffs"`
	Unsafe  string          `json:"unsafe,omitempty"`
	Works   bool            `json:"works"`
	Error   string          `json:"error,omitempty"`
	Version int             `json:"version"`
	Blocked []string        `json:"blocked"`
	Pins    []doctorPinFile `json:"pins"`
}

type doctorPinFile struct {
	Path     string `json:"path"`
	Version  int    `json:"version"`
	Mode     string `json:"mode"`
	UID      uint32 `json:"uid"`
	GID      uint32 `json:"gid"`
	Readable bool   `json:"readable"`
}

func newDoctorPin(s *collect.PinStatus) doctorPin {
	d := doctorPin{
		Dir: s.Dir, BPFFS: s.BPFFS, Works: s.Works == nil && len(s.Pins) > 0, Version: s.Version,
		Blocked: append([]string{}, s.Blocked...), Pins: []doctorPinFile{},
	}
	if s.Unsafe != nil {
		d.Unsafe = s.Unsafe.Error()
	}
	if s.Works != nil && len(s.Pins) > 0 {
		d.Error = s.Works.Error()
	}
	for _, p := range s.Pins {
		d.Pins = append(d.Pins, doctorPinFile{
			Path: p.Path, Version: p.Version, Mode: fmt.Sprintf("%04o", p.Mode), UID: p.UID, GID: p.GID, Readable: p.Readable,
		})
	}
	return d
}
