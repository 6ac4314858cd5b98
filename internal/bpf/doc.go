// Package bpf is the common ground of the programs of bpfiter and of bpfevent:
// the loader, the conditions of a query for the kernel ([Conditions]), and the
// shared C. Of this core.h holds types, helpers and numbers, kernel.h the
// structs of the kernel, model.h the numbers of package whose, and conditions.h
// the other side of [Conditions].
//
// # The loader
//
// Package ebpf reads the kernel's whole BTF, some hundred thousand types, to
// relocate the accesses of a program and again to find its targets. This takes
// longer than all other work of a cold start. [ReadTypes] reads it once, and no
// more of it than the programs use; [BeginTypes] does so while the caller takes
// the objects apart ([ReadObject]). [Load] loads with these types, several
// programs at a time, and leaves the rest to package ebpf: its errors also say
// more.
//
// Cold starts on two processors (kernel 6.18, medians of 15 processes): bpfiter
// takes 16 ms, bpfevent 92, of 148 ms of CPU time; package ebpf takes 163 ms
// and 180 ms of CPU time. Most of it is the kernel's proof of the programs.
package bpf
