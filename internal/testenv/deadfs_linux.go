package testenv

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// A DeadFS is a file system in user space (FUSE) with one file "x" of 8,192
// bytes, whose server stops to answer when the test says so. It is unmounted,
// and all that waits for it returns, when it is closed or the test ends.
type DeadFS struct {
	// Dir is where it is mounted.
	Dir     string
	device  *os.File
	dead    atomic.Bool
	waiting chan uint32 // the operations that are not answered
	closed  atomic.Bool
}

// The operations of FUSE that matter here (include/uapi/linux/fuse.h).
const (
	fuseLookup  = 1
	fuseForget  = 2
	fuseGetattr = 3
	fuseOpen    = 14
	fuseRead    = 15
	fuseWrite   = 16
	fuseInit    = 26
)

// NewDeadFS mounts a file system that answers until [DeadFS.Die], but for writes
// to its file. It needs CAP_SYS_ADMIN and FUSE, which the test ends without.
func NewDeadFS(t testing.TB) *DeadFS {
	t.Helper()
	NeedCap(t, unix.CAP_SYS_ADMIN)
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		Missing(t, "FUSE", err.Error())
	}
	d := &DeadFS{Dir: t.TempDir(), device: os.NewFile(uintptr(fd), "fuse"), waiting: make(chan uint32, 1024)}
	how := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd)
	if err := unix.Mount("dead", d.Dir, "fuse.dead", 0, how); err != nil {
		d.device.Close()
		Missing(t, "a mount of FUSE", err.Error())
	}
	go d.serve(fd)
	t.Cleanup(d.Close)
	return d
}

// Die makes the server answer nothing any more.
func (d *DeadFS) Die() { d.dead.Store(true) }

// Waiting receives the number of each operation that is not answered.
func (d *DeadFS) Waiting() <-chan uint32 { return d.waiting }

// Close unmounts the file system. All that waits for it gets an error. A second
// call does nothing.
func (d *DeadFS) Close() {
	if d.closed.Swap(true) {
		return
	}
	_ = unix.Unmount(d.Dir, unix.MNT_DETACH|unix.MNT_FORCE) // the directory is the test's
	d.device.Close()
}

// serve answers requests until the file system is closed.
func (d *DeadFS) serve(fd int) {
	buf := make([]byte, 1<<17)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR || err == unix.ENOENT {
			continue
		}
		if err != nil || n < 40 {
			return
		}
		d.answer(fd, buf[:n])
	}
}

func (d *DeadFS) answer(fd int, request []byte) {
	word := binary.NativeEndian
	op, id, node := word.Uint32(request[4:]), word.Uint64(request[8:]), word.Uint64(request[16:])
	if op == fuseWrite || d.dead.Load() && op != fuseForget {
		select {
		case d.waiting <- op:
		default:
		}
		return
	}
	var body []byte
	errno := int32(0)
	switch op {
	case fuseForget:
		return
	case fuseInit:
		body = make([]byte, 64)
		word.PutUint32(body[0:], 7)
		word.PutUint32(body[4:], 31)
		word.PutUint16(body[16:], 16)
		word.PutUint16(body[18:], 12)
		word.PutUint32(body[20:], 4096)
	case fuseLookup:
		body = binary.NativeEndian.AppendUint64(nil, 2)
		body = word.AppendUint64(body, 1)
		body = append(body, make([]byte, 24)...) // neither name nor facts stay in the kernel
		body = append(body, fuseAttr(2)...)
	case fuseGetattr:
		body = append(make([]byte, 16), fuseAttr(node)...)
	case fuseOpen:
		body = make([]byte, 16)
	case fuseRead:
		body = make([]byte, word.Uint32(request[56:]))
	default:
		errno = -int32(unix.ENOSYS)
	}
	reply := word.AppendUint32(nil, uint32(16+len(body)))
	reply = word.AppendUint32(reply, uint32(errno))
	reply = word.AppendUint64(reply, id)
	_, _ = unix.Write(fd, append(reply, body...)) // whoever asked may be gone
}

// fuseAttr makes struct fuse_attr of the root, 1, or of the file.
func fuseAttr(node uint64) []byte {
	word := binary.NativeEndian
	attr := make([]byte, 88)
	word.PutUint64(attr[0:], node)
	mode, size := uint32(unix.S_IFREG|0o644), uint64(8192)
	if node == 1 {
		mode, size = unix.S_IFDIR|0o755, 4096
	}
	word.PutUint64(attr[8:], size)
	word.PutUint64(attr[16:], 16)
	word.PutUint32(attr[60:], mode)
	word.PutUint32(attr[64:], 1)
	word.PutUint32(attr[80:], 4096)
	return attr
}
