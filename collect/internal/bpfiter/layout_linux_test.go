package bpfiter

import (
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// TestLayout compares the structs here with those of the programs, as the
// objects describe them: size, and place and size of every member.
func TestLayout(t *testing.T) {
	files, err := loadTaskFile()
	if err != nil {
		t.Fatal(err)
	}
	walk, err := loadHashWalk()
	if err != nil {
		t.Fatal(err)
	}
	var s socketRecord
	checkStruct(t, files, "socket_record", unsafe.Sizeof(s), map[string]uintptr{
		"tag": unsafe.Offsetof(s.tag), "netns": unsafe.Offsetof(s.netns), "cookie": unsafe.Offsetof(s.cookie),
		"inode": unsafe.Offsetof(s.inode), "local": unsafe.Offsetof(s.local), "remote": unsafe.Offsetof(s.remote),
		"lport": unsafe.Offsetof(s.lport), "rport": unsafe.Offsetof(s.rport), "proto": unsafe.Offsetof(s.proto),
		"family": unsafe.Offsetof(s.family), "state": unsafe.Offsetof(s.state), "flags": unsafe.Offsetof(s.flags),
		"uid": unsafe.Offsetof(s.uid), "mark": unsafe.Offsetof(s.mark), "device": unsafe.Offsetof(s.device),
		"recvq": unsafe.Offsetof(s.recvq), "sendq": unsafe.Offsetof(s.sendq), "pid": unsafe.Offsetof(s.pid),
		"fd": unsafe.Offsetof(s.fd), "start": unsafe.Offsetof(s.start), "comm": unsafe.Offsetof(s.comm),
		"cgroup": unsafe.Offsetof(s.cgroup),
	})
	var tcp tcpRecord
	checkStruct(t, files, "tcp_record", unsafe.Sizeof(tcp), map[string]uintptr{
		"tag": unsafe.Offsetof(tcp.tag), "srtt": unsafe.Offsetof(tcp.srtt), "retrans": unsafe.Offsetof(tcp.retrans),
		"cwnd": unsafe.Offsetof(tcp.cwnd), "bytes_sent": unsafe.Offsetof(tcp.bytesSent),
		"bytes_received": unsafe.Offsetof(tcp.bytesReceived), "cong": unsafe.Offsetof(tcp.cong),
	})
	var id idRecord
	checkStruct(t, walk, "id_record", unsafe.Sizeof(id), map[string]uintptr{
		"tag": unsafe.Offsetof(id.tag), "netns": unsafe.Offsetof(id.netns), "inode": unsafe.Offsetof(id.inode), "element": unsafe.Offsetof(id.element)})
	var task taskRecord
	checkStruct(t, files, "task_record", unsafe.Sizeof(task), map[string]uintptr{
		"tag": unsafe.Offsetof(task.tag), "pid": unsafe.Offsetof(task.pid)})
	var dev deviceRecord
	checkStruct(t, files, "device_record", unsafe.Sizeof(dev), map[string]uintptr{
		"tag": unsafe.Offsetof(dev.tag), "netns": unsafe.Offsetof(dev.netns),
		"device": unsafe.Offsetof(dev.device), "name": unsafe.Offsetof(dev.name)})
	var ns netnsRecord
	checkStruct(t, walk, "netns_record", unsafe.Sizeof(ns), map[string]uintptr{
		"tag": unsafe.Offsetof(ns.tag), "netns": unsafe.Offsetof(ns.netns),
		"element": unsafe.Offsetof(ns.element), "udp_element": unsafe.Offsetof(ns.udpElement)})
	var more moreRecord
	checkStruct(t, walk, "more_record", unsafe.Sizeof(more), map[string]uintptr{
		"tag": unsafe.Offsetof(more.tag), "element": unsafe.Offsetof(more.element), "done": unsafe.Offsetof(more.done)})
	var w wayRecord
	checkStruct(t, files, "way_record", unsafe.Sizeof(w), map[string]uintptr{
		"tag": unsafe.Offsetof(w.tag), "netns": unsafe.Offsetof(w.netns), "pid": unsafe.Offsetof(w.pid), "fd": unsafe.Offsetof(w.fd),
		"inode": unsafe.Offsetof(w.inode)})
	var n narrow
	checkStruct(t, walk, "narrow", unsafe.Sizeof(n), map[string]uintptr{
		"n_netns": unsafe.Offsetof(n.nNetNS), "n_ends": unsafe.Offsetof(n.nEnds),
		"netns": unsafe.Offsetof(n.netns), "ends": unsafe.Offsetof(n.ends)})
	var e ends
	checkStruct(t, walk, "ends", unsafe.Sizeof(e), map[string]uintptr{
		"local": unsafe.Offsetof(e.local), "local_mask": unsafe.Offsetof(e.localMask),
		"remote": unsafe.Offsetof(e.remote), "remote_mask": unsafe.Offsetof(e.remoteMask),
		"lport_first": unsafe.Offsetof(e.lportFirst), "lport_last": unsafe.Offsetof(e.lportLast),
		"rport_first": unsafe.Offsetof(e.rportFirst), "rport_last": unsafe.Offsetof(e.rportLast)})
}

func checkStruct(t *testing.T, spec *ebpf.CollectionSpec, name string, size uintptr, offsets map[string]uintptr) {
	t.Helper()
	var s *btf.Struct
	if err := spec.Types.TypeByName(name, &s); err != nil {
		t.Errorf("struct %s: %v", name, err)
		return
	}
	if uintptr(s.Size) != size {
		t.Errorf("struct %s: %d bytes here, %d there", name, size, s.Size)
	}
	if size%8 != 0 {
		t.Errorf("struct %s: %d bytes, not a multiple of 8", name, size)
	}
	for _, m := range s.Members {
		off, ok := offsets[m.Name]
		if !ok && m.Name != "pad" {
			t.Errorf("struct %s: member %s is not known here", name, m.Name)
		}
		if ok && off != uintptr(m.Offset.Bytes()) {
			t.Errorf("struct %s: member %s at %d here, at %d there", name, m.Name, off, m.Offset.Bytes())
		}
		delete(offsets, m.Name)
	}
	for member := range offsets {
		t.Errorf("struct %s: no member %s", name, member)
	}
}

// TestObjects_NoPaths shows that no path of the builder's is in the objects.
func TestObjects_NoPaths(t *testing.T) {
	for name, load := range map[string]func() (*ebpf.CollectionSpec, error){"task_file": loadTaskFile, "hash_walk": loadHashWalk, "hash_walk by probes": loadHashProbe, "fd_walk": loadFdWalk} {
		spec, err := load()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range spec.Programs {
			for i := range p.Instructions {
				l, ok := p.Instructions[i].Source().(*btf.Line)
				if ok && len(l.FileName()) > 0 && l.FileName()[0] == '/' {
					t.Fatalf("%s: the object names %s", name, l.FileName())
				}
			}
		}
	}
}
