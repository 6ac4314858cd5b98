package track

import (
	"context"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/track/internal/bpfevent"
	"github.com/seed-44df2ae6/whose/track/internal/ledger"
)

// A bpfSource is the BPF programs as a kernelSource.
type bpfSource struct{ *bpfevent.Source }

// openBPF loads and attaches the programs.
func openBPF(_ context.Context, p *plan) (kernelSource, error) {
	c := bpfevent.Config{
		BufferSize: p.opts.BufferSize, MaxFlows: p.opts.MaxFlows, Query: &p.query, Whole: true,
		Text: p.needs&(whose.NeedCmdline|whose.NeedExe) != 0, Packets: p.opts.packets,
	}
	if !p.opts.Events.Has(whose.EventFail) {
		// All others make the live table.
		c.Kinds = whose.SetOf(bpfevent.TCPOpen, bpfevent.TCPAccept, bpfevent.TCPClose, bpfevent.TCPListen,
			bpfevent.TCPUnlisten, bpfevent.UDPBind, bpfevent.UDPOpen, bpfevent.UDPClose)
	}
	s, err := bpfevent.Open(c)
	if err != nil {
		return nil, explainRefusal(err)
	}
	return bpfSource{s}, nil
}

// Losses counts the losses since the source was opened.
func (s bpfSource) Losses() (Losses, error) {
	l, err := s.Source.Losses()
	return Losses{Ring: l.Ring, Recursion: l.Recursion, Flows: l.Flows, Sockets: l.Sockets, Forgotten: l.Forgotten}, err
}

// Flows calls drop for each flow counted by the kernel. For each true it ends
// the flow and calls ended with its final counts.
func (s bpfSource) Flows(drop func(*ledger.Flow) bool, ended func(*ledger.Flow)) error {
	var failed error
	err := s.Source.Flows(func(f *bpfevent.Flow) bool {
		k := flowOf(f)
		if !drop(&k) {
			return true
		}
		last, ok, err := s.CloseFlow(f.FlowKey)
		if failed = err; err != nil {
			return false
		}
		if ok {
			k = flowOf(&last)
			ended(&k)
		}
		return true
	})
	if failed != nil {
		return failed
	}
	return err
}

func flowOf(f *bpfevent.Flow) ledger.Flow {
	return ledger.Flow{
		Key: ledger.FlowKey{Cookie: f.Cookie, Remote: f.Remote, Port: f.RemotePort}, Last: f.Last,
		Sent:     whose.Traffic{Bytes: f.BytesSent, Datagrams: f.DatagramsSent},
		Received: whose.Traffic{Bytes: f.BytesReceived, Datagrams: f.DatagramsReceived},
	}
}
