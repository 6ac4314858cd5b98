// Package bpf is the ground that the programs of bpfiter and of bpfevent stand
// on: the loader, the conditions of a query that go into the kernel ([Conditions]),
// and the C that they share. Of that core.h holds types, helpers and numbers,
// kernel.h the structs of the kernel, model.h the numbers of package whose, and
// conditions.h the other side of [Conditions].
//
// # The loader
//
// Package ebpf reads the kernel's whole BTF, some hundred thousand types, to
// relocate the accesses of a program and again to find what it attaches to.
// That takes longer than everything else that a cold start does. [ReadTypes]
// reads it once, and no more of it than the programs use. [Load] loads with that,
// several programs at a time, and leaves to package ebpf what it cannot: its
// errors also say more.
//
// Cold starts on two processors (kernel 6.18, medians of 15 processes): bpfiter
// takes 16 ms, bpfevent 92, of 148 ms of CPU time, where package ebpf takes 163 ms
// and 180 ms of CPU time. Most of it is the kernel's proof of the programs.
package bpf
