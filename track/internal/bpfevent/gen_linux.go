package bpfevent

// The object is built by Debian's clang-19 and committed, so that go get needs
// no compiler. The prefix map and the strip keep the builder's paths out of it:
// two builds are equal byte by byte.

//go:generate go tool -modfile=../../../internal/tools/go.mod bpf2go -go-package bpfevent -target bpfel -tags linux -output-suffix _linux -no-global-types -cc clang-19 -strip llvm-strip-19 events bpf/events.bpf.c -- -O2 -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-unused-function -Wno-unused-const-variable -ffile-prefix-map=/=
