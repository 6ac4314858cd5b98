package bpf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"strings"
)

// A names value holds the names of an object's types, of their members, and of
// the targets of its programs in the kernel's BTF. They are read straight from
// its sections: the kernel's BTF is then cut while package ebpf takes the object
// apart.
type names struct{ types, members, targets map[string]bool }

func newNames() *names {
	return &names{make(map[string]bool), make(map[string]bool), make(map[string]bool)}
}

// targetPrefixes are the prefixes of the sections of programs with a target, and
// those of the target's name in the kernel's BTF.
var targetPrefixes = [...]struct{ section, target string }{
	{"iter/", "bpf_iter_"}, {"iter.s/", "bpf_iter_"}, {"tp_btf/", "btf_trace_"}, {"fentry/", ""}, {"fexit/", ""},
}

// addObject adds the names of an object file.
func (n *names) addObject(object []byte) error {
	file, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		return err
	}
	for _, s := range file.Sections {
		n.addTarget(s.Name)
	}
	section := file.Section(".BTF")
	if section == nil {
		return fmt.Errorf("%w: no section .BTF", errBTF)
	}
	raw, err := section.Data()
	if err != nil {
		return err
	}
	return n.addBTF(raw)
}

func (n *names) addTarget(section string) {
	for _, p := range targetPrefixes {
		if rest, ok := strings.CutPrefix(section, p.section); ok {
			n.targets[p.target+rest] = true
		}
	}
}

// addBTF adds the structs, unions and typedefs of a BTF, and their members.
func (n *names) addBTF(raw []byte) error {
	var c btfCutter
	if err := c.open(raw); err != nil {
		return err
	}
	u := binary.LittleEndian.Uint32
	for rest := c.types; len(rest) > 0; {
		if len(rest) < btfTypeSize {
			return errBTF
		}
		info := u(rest[4:])
		tail := btfTail(info)
		if tail < 0 || len(rest)-btfTypeSize < tail {
			return errBTF
		}
		switch info >> 24 & 0x1f {
		case btfStruct, btfUnion:
			n.addMembers(&c, rest[btfTypeSize:btfTypeSize+tail])
			fallthrough
		case btfTypedef:
			n.addType(string(c.name(u(rest))))
		}
		rest = rest[btfTypeSize+tail:]
	}
	return nil
}

// addType adds a type without its flavour, which follows three underscores.
func (n *names) addType(name string) {
	if name, _, _ = strings.Cut(name, "___"); name != "" {
		n.types[name] = true
	}
}

func (n *names) addMembers(c *btfCutter, members []byte) {
	for m := members; len(m) >= btfMemberSize; m = m[btfMemberSize:] {
		n.members[string(c.name(binary.LittleEndian.Uint32(m)))] = true
	}
}
