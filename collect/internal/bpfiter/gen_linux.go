package bpfiter

// The objects are built by Debian's clang-19 and committed, so go get needs no
// compiler. The prefix map and the strip keep the builder's paths out of them:
// two builds are equal byte by byte. hashProbe is hash_walk for kernels without
// bpf_rdonly_cast (PROBES); programs for the oldest kernels are built
// BEFORE_5_12.

//go:generate go tool -modfile=../../../internal/tools/go.mod bpf2go -go-package bpfiter -target bpfel -tags linux -output-suffix _linux -no-global-types -cc clang-19 -strip llvm-strip-19 taskFile bpf/task_file.bpf.c -- -O2 -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-unused-function -Wno-unused-const-variable -DBEFORE_5_12 -ffile-prefix-map=/=
//go:generate go tool -modfile=../../../internal/tools/go.mod bpf2go -go-package bpfiter -target bpfel -tags linux -output-suffix _linux -no-global-types -cc clang-19 -strip llvm-strip-19 hashWalk bpf/hash_walk.bpf.c -- -O2 -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-unused-function -Wno-unused-const-variable -ffile-prefix-map=/=
//go:generate go tool -modfile=../../../internal/tools/go.mod bpf2go -go-package bpfiter -target bpfel -tags linux -output-suffix _linux -no-global-types -cc clang-19 -strip llvm-strip-19 hashProbe bpf/hash_walk.bpf.c -- -O2 -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-unused-function -Wno-unused-const-variable -DPROBES -ffile-prefix-map=/=
//go:generate go tool -modfile=../../../internal/tools/go.mod bpf2go -go-package bpfiter -target bpfel -tags linux -output-suffix _linux -no-global-types -cc clang-19 -strip llvm-strip-19 fdWalk bpf/fd_walk.bpf.c -- -O2 -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-unused-function -Wno-unused-const-variable -ffile-prefix-map=/=
