package bpf

import (
	"bytes"
	"debug/elf"
	"fmt"

	"github.com/cilium/ebpf"
)

// ReadObject takes an object file apart for [LoadQuickly]. It leaves out the
// lines of its source, a quarter of all that is made of it: they are for the
// verifier's log, which LoadQuickly does not ask for.
func ReadObject(object []byte) (*ebpf.CollectionSpec, error) {
	bare, err := withoutLines(object)
	if err != nil {
		return nil, fmt.Errorf("read object: %w", err)
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(bare))
	if err != nil {
		return nil, fmt.Errorf("read object: %w", err)
	}
	return spec, nil
}

// Places in the section .BTF.ext, struct btf_ext_header of libbpf: the length of
// the lines, which begin with the size of one.
const (
	lineInfoLen  = 20
	lineSizeOnly = 4
)

// withoutLines returns a copy of an object whose list of lines is empty.
func withoutLines(object []byte) ([]byte, error) {
	file, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		return nil, err
	}
	bare := bytes.Clone(object)
	s := file.Section(".BTF.ext")
	if s == nil {
		return bare, nil
	}
	at := s.Offset + lineInfoLen
	if at+4 > uint64(len(bare)) {
		return nil, fmt.Errorf("%w: section .BTF.ext cut short", errBTF)
	}
	if file.ByteOrder.Uint32(bare[at:]) > lineSizeOnly {
		file.ByteOrder.PutUint32(bare[at:], lineSizeOnly)
	}
	return bare, nil
}
