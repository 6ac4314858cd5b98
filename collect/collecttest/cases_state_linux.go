package collecttest

import (
	"golang.org/x/sys/unix"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

func stateCases() []Case {
	return []Case{
		{Name: "time wait", Rule: "a connection that is over is listed in TIME_WAIT, an orphan by nature", hold: func(st *Stage) {
			p := st.pair("127.0.0.1:0", "")
			st.add("listener", st.listener(p.l, 16))
			st.add("time wait", st.finish(p))
			p = st.pair("[::1]:0", "")
			st.add("IPv6 listener", st.listener(p.l, 16))
			st.add("IPv6 time wait", st.finish(p))
		}},
		{Name: "half closed", Rule: "a connection that one side has shut down is in FIN_WAIT2 here and CLOSE_WAIT there, both with their owners",
			hold: func(st *Stage) {
				p := st.pair("127.0.0.1:0", "")
				st.check(unix.Shutdown(p.c, unix.SHUT_WR), "shutdown")
				st.inState(p.c, whose.FinWait2)
				client, server := st.established(p.c, whose.Out, st.pid()), st.established(p.a, whose.In, st.pid())
				client.State, server.State = whose.FinWait2, whose.CloseWait
				server.RecvQueue = 1 // the end of the stream counts as one byte
				st.add("listener", st.listener(p.l, 16))
				st.add("shut down here", client)
				st.add("shut down there", server)
			}},
		{Name: "fin wait 2 orphan", Rule: "a connection whose process has closed it and whose other end has not is an orphan in FIN_WAIT2",
			hold: func(st *Stage) {
				p := st.pair("127.0.0.1:0", "")
				client, server := st.established(p.c, whose.Out), st.established(p.a, whose.In)
				st.check(unix.Shutdown(p.c, unix.SHUT_WR), "shutdown")
				st.inState(p.c, whose.FinWait2)
				st.close(p.c)
				server.State, server.RecvQueue = whose.CloseWait, 1
				client = closed(client, whose.FinWait2)
				client.Peer = self()
				st.add("listener", st.listener(p.l, 16))
				st.add("closed here", client)
				st.add("not closed there", server)
			}},
		{Name: "fin wait 1 orphan", Rule: "a connection that is closed with data still to be sent is an orphan in FIN_WAIT1, with what waits",
			hold: holdFinWait1},
		{Name: "last ack", Rule: "LAST_ACK and FIN_WAIT1 are listed with owners where the process has the socket still open",
			needs: testenv.NeedIP, Passing: true, hold: holdLastAck},
		{Name: "syn sent", Rule: "a connection that nobody answers is in SYN_SENT with its owner, and goes out", Passing: true, hold: holdSynSent},
		{Name: "syn recv", Rule: "a handshake that is not complete is in SYN_RECV, an orphan by nature", Brief: true, hold: holdSynRecv},
		{Name: "bound only", Rule: "a TCP socket that is bound and neither listening nor connected is listed in CLOSE where all states are asked for",
			hold: func(st *Stage) {
				st.add("bound", st.session(st.bound("127.0.0.1:0", unix.SOCK_STREAM, 0), whose.Close))
				st.add("bound, IPv6", st.session(st.bound("[::1]:0", unix.SOCK_STREAM, 0), whose.Close))
			}},
	}
}

func holdFinWait1(st *Stage) {
	p := st.pair("127.0.0.1:0", "")
	client, server := st.established(p.c, whose.Out), st.established(p.a, whose.In)
	in, out := st.fill(p)
	st.close(p.c)
	client = closed(client, whose.FinWait1)
	client.Peer = self()
	client.SendQueue = uint32(out + 1) // the end of the stream counts as one byte
	server.RecvQueue = uint32(in)
	st.add("listener", st.listener(p.l, 16))
	st.add("closed with data to send", client)
	st.add("other end", server)
}

// holdLastAck takes the loopback device away, so all packets are lost.
func holdLastAck(st *Stage) {
	p, q := st.pair("127.0.0.1:0", ""), st.pair("127.0.0.1:0", "")
	st.check(unix.Shutdown(p.c, unix.SHUT_WR), "shutdown")
	st.inState(p.a, whose.CloseWait)
	st.inState(p.c, whose.FinWait2)
	last, half := st.established(p.a, whose.In, st.pid()), st.established(p.c, whose.Out, st.pid())
	fin, other := st.established(q.c, whose.Out, st.pid()), st.established(q.a, whose.In, st.pid())
	st.ip("link set lo down")
	st.check(unix.Shutdown(p.a, unix.SHUT_WR), "shutdown")
	st.check(unix.Shutdown(q.c, unix.SHUT_WR), "shutdown")
	st.inState(p.a, whose.LastAck)
	st.inState(q.c, whose.FinWait1)
	last.State, last.RecvQueue, last.SendQueue = whose.LastAck, 1, 1
	half.State = whose.FinWait2
	fin.State, fin.SendQueue = whose.FinWait1, 1
	st.add("listener", st.listener(p.l, 16))
	st.add("listener", st.listener(q.l, 16))
	st.add("last ack", last)
	st.add("fin wait 2", half)
	st.add("fin wait 1", fin)
	st.add("not told of the end", other)
}

// holdSynSent fills a listener's accept queue, so it answers no more.
func holdSynSent(st *Stage) {
	l := st.listen("127.0.0.1:0", 0)
	c := st.connect(st.local(l), unix.SOCK_STREAM, 0)
	first := st.established(c, whose.Out, st.pid())
	st.waiting(l, 1)
	waiting := st.socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err := unix.Connect(waiting, sockaddr(unix.AF_INET, st.local(l))); err != unix.EINPROGRESS {
		st.check(err, "connect to a full listener")
	}
	s := st.session(waiting, whose.SynSent)
	s.Direction, s.SendQueue = whose.Out, 1
	s.Remote = st.local(l)
	full := st.listener(l, 0)
	full.RecvQueue = 1
	st.add("full listener", full)
	st.add("first connection", first)
	st.add("waits to be accepted", st.queue(first, self()))
	st.add("not answered", s)
}

// queue is the other end of client, a pending accept of a listener with these
// owners.
func (st *Stage) queue(client whose.Session, owners []whose.Owner) whose.Session {
	s := client
	s.Local, s.Remote = client.Remote, client.Local
	s.Direction, s.Reason = whose.In, whose.ReasonAcceptQueue
	s.Inode, s.Cookie = 0, 0
	s.Peer = client.Owners
	s.Owners = nil
	for _, o := range owners {
		s.Owners = append(s.Owners, whose.Owner{Process: o.Process})
	}
	return s
}

// holdSynRecv has a listener wait for data before it takes a connection for
// complete; to the client it is complete.
func holdSynRecv(st *Stage) {
	l := st.listen("127.0.0.1:0", 16, intOpt(unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 120))
	c := st.connect(st.local(l), unix.SOCK_STREAM, 0)
	client := st.established(c, whose.Out)
	s := closed(client, whose.SynRecv)
	s.Local, s.Remote, s.Direction, s.Cookie = client.Remote, client.Local, whose.In, 0
	s.Peer = self()
	st.add("listener", st.listener(l, 16))
	st.add("client end", client)
	st.add("not complete", s)
}
