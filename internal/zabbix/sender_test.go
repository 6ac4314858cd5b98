package zabbix

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/internal/tally"
	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// A sent is one value as zabbix_sender sends it.
type sent struct {
	Host  string `json:"host"`
	Key   string `json:"key"`
	Value string `json:"value"`
}

// trapper plays a server: it takes what is sent to it until the listener is
// closed, and says that all of it is well.
func trapper(t *testing.T, l net.Listener) <-chan []sent {
	t.Helper()
	all := make(chan []sent, 1)
	go func() {
		var got []sent
		defer func() { all <- got }()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			data, err := takeRequest(c)
			if err != nil {
				t.Errorf("read what zabbix_sender sends: %v", err)
			}
			got = append(got, data...)
		}
	}()
	return all
}

// takeRequest reads one message of the protocol and answers it.
func takeRequest(c net.Conn) ([]sent, error) {
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	var head [13]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	if string(head[:4]) != "ZBXD" {
		return nil, fmt.Errorf("header %q", head)
	}
	var body io.Reader = io.LimitReader(c, int64(binary.LittleEndian.Uint32(head[5:])))
	if head[4]&2 != 0 {
		z, err := zlib.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = z
	}
	var request struct{ Data []sent }
	if err := json.NewDecoder(body).Decode(&request); err != nil {
		return nil, err
	}
	n := len(request.Data)
	text := fmt.Sprintf(`{"response":"success","info":"processed: %d; failed: 0; total: %d; seconds spent: 0.000001"}`, n, n)
	answer := append([]byte("ZBXD\x01"), make([]byte, 8)...)
	binary.LittleEndian.PutUint64(answer[5:], uint64(len(text)))
	_, err := c.Write(append(answer, text...))
	return request.Data, err
}

// TestLines_Sender hands lines to a real zabbix_sender and looks at what
// arrives: the largest document there is, names that are hard to quote, values.
func TestLines_Sender(t *testing.T) {
	sender := testenv.WantProgram(t, "zabbix_sender")
	h := tally.NewHost(usual().HostOptions)
	for i := range 1500 {
		s := tcp(whose.Listen, fmt.Sprintf("192.0.2.%d:%d", i%250, 1000+i), "", process(uint32(i+1), fmt.Sprintf("a \"b\" %d", i), `x\x2dy.service`, "u"))
		h.Add(&s)
	}
	large, err := NewDocument(h.Count(), &whose.Coverage{}, usual().Options).Encode(MaxSize, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(large) < MaxSize*9/10 {
		t.Fatalf("%d bytes are not large", len(large))
	}
	values, err := documentOf(t, usual(), hostOf()).AppendValues(nil, "-")
	if err != nil {
		t.Fatal(err)
	}
	want := []sent{
		{"default", DocumentKey, string(large)},
		{"web 1", `k["a","b c"]`, "line\nnext \\n \\ \" \t end"},
		{`"odd" host`, "k", "{}"},
		{`back\slash`, "k", ""},
	}
	input := AppendLine(nil, "-", want[0].Key, want[0].Value)
	for _, w := range want[1:] {
		input = AppendLine(input, w.Host, w.Key, w.Value)
	}
	input = append(input, values...)

	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	all := trapper(t, l)
	host, port, _ := net.SplitHostPort(l.Addr().String())
	cmd := exec.CommandContext(t.Context(), sender, "-z", host, "-p", port, "-s", "default", "-i", "-")
	cmd.Stdin = bytes.NewReader(input)
	said, err := cmd.CombinedOutput()
	l.Close()
	got := <-all
	if err != nil || !strings.Contains(string(said), "skipped: 0") {
		t.Fatalf("zabbix_sender: %v\n%s", err, said)
	}
	if diff := cmp.Diff(want, got[:min(len(want), len(got))]); diff != "" {
		t.Errorf("what arrived (-want +got):\n%.2000s", diff)
	}
	if lines := bytes.Count(input, []byte("\n")); len(got) != lines {
		t.Errorf("%d values arrived, want %d", len(got), lines)
	}
}
