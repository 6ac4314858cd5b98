package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose/filter"
	"github.com/seed-44df2ae6/whose/internal/ask"
	"github.com/seed-44df2ae6/whose/track"
)

// An agentJob is the job of whose agent: it follows all sessions and keeps them.
type agentJob struct {
	sh                           *shell
	history, group, keep, source string
	days, rollupDays             int
	bytes                        string
	noCmdline                    bool
	socket, mode, listen, token  string
	tlsCert, tlsKey, tlsClientCA string
	metrics                      string
	export                       exportFlags
}

// runAgent is the work itself. Nil in the light program.
var runAgent func(*agentJob, context.Context, *agentPlan) error

// metricsOff is the value of --metrics for none.
const metricsOff = "off"

// historyOff is the value of --history for none.
const historyOff = "off"

func newAgent(sh *shell) *cobra.Command {
	a := &agentJob{sh: sh}
	cmd := &cobra.Command{
		Use:   "agent [flags]",
		Short: "follow every session and keep the history of this host",
		Long: `Follow every session of this host from its beginning to its end, and keep a history of them, so that
the past can be asked like the present: whose --at 03:12 nginx, whose --from -1h remote 203.0.113.9,
whose watch --from -1h, whose count --from -24h --by comm. docs/history.md describes it.

It runs until SIGTERM or Ctrl-C, in the foreground. One agent at a time writes a directory. Who may read
it learns who talked to whom and, unless --no-cmdline, the command lines of the processes, which may
hold secrets: root and the group of --group.`,
		Example: "sudo whose agent\tkeep the history of this host in " + defaultHistory + "\n" +
			"sudo whose agent --group adm --history-days 30\tfor the administrators too, a month of it\n" +
			"sudo whose agent --no-cmdline --keep 'not remote 127.0.0.0/8'\twithout command lines and local sessions",
		Args: noArgs,
		RunE: a.start,
	}
	f := flagGroup{cmd.Flags(), groupThen}
	f.text(&a.history, "history", "", defaultHistory, valueDir, "where the history is kept; off for none")
	f.days(&a.days, "history-days", 14, "keep this many days")
	f.days(&a.rollupDays, "rollup-days", 90, "keep the counts of each minute this many days")
	f.text(&a.bytes, "history-bytes", "", "2GiB", "SIZE", "remove the oldest beyond this size; a twentieth of the disk at most")
	f.text(&a.group, "group", "", "", "GROUP", "let the members of this group read it, too")
	f.boolean(&a.noCmdline, "no-cmdline", "", "keep no command lines, which may hold secrets")
	f.text(&a.keep, "keep", "", "", "FILTER", "keep only the sessions that match")
	serve := flagGroup{cmd.Flags(), groupServe}
	serve.text(&a.socket, "socket", "", ask.DefaultSocket, "PATH", "answer at this Unix socket; off for none")
	serve.text(&a.mode, "socket-mode", "", "0660", "MODE", "its mode: with 0666 all users may ask, and see what is theirs")
	serve.text(&a.listen, "listen", "", "", "ADDR", "answer by HTTP at this address and port, too; without TLS of the loopback device alone")
	serve.text(&a.token, "token", "", "", "FILE", "its token is in this file; without one it is made and printed")
	serve.text(&a.tlsCert, "tls-cert", "", "", "FILE", "answer by HTTPS, with this certificate (PEM)")
	serve.text(&a.tlsKey, "tls-key", "", "", "FILE", "the key of the certificate, which others may not read")
	serve.text(&a.tlsClientCA, "tls-client-ca", "", "", "FILE", "who asks needs a certificate of this authority, and then a token only with --token")
	serve.text(&a.metrics, "metrics", "", metricsOff, "ADDR", "answer Prometheus at http://ADDR/metrics; a port alone is of 127.0.0.1")
	a.export.add(cmd)
	how := flagGroup{cmd.Flags(), groupHow}
	how.text(&a.source, "source", "", "auto", "NAME", "follow by bpf, netlink or snapshot")
	complete(cmd, "group", completeGroups)
	complete(cmd, "source", completeWords(track.SourceNames()...))
	sh.giveVariables(cmd)
	return cmd
}

// An agentPlan holds the flags of whose agent.
type agentPlan struct {
	dir  string // "": no history
	gid  int
	days int
	// rollupDays are those of the counts of each minute.
	rollupDays int
	bytes      int64
	noCmdline  bool
	keep       filter.Expr
	source     string
	socket     string // "": none
	// asked: the socket was named, so the agent does not go on without it.
	asked         bool
	mode          fs.FileMode
	listen, token string
	// tlsCert, tlsKey and tlsClientCA are files, "" for none.
	tlsCert, tlsKey, tlsClientCA string
	metrics                      string      // "": none
	host                         string      // "": its own
	export                       *exportPlan // nil: none
}

func (a *agentJob) start(cmd *cobra.Command, _ []string) error {
	called := func(flag string) string { return a.sh.called(cmd, flag) }
	plan, err := a.plan(called)
	if err == nil {
		err = a.planServing(cmd, plan, called)
	}
	if err == nil {
		plan.export, err = a.export.plan(called)
	}
	if err != nil {
		return err
	}
	if runAgent == nil {
		return a.sh.handOver()
	}
	return runAgent(a, cmd.Context(), plan)
}

// plan checks the flags. called returns the name by which the user gave one.
func (a *agentJob) plan(called func(flag string) string) (*agentPlan, error) {
	p := &agentPlan{gid: -1, days: a.days, rollupDays: a.rollupDays, host: a.export.host, noCmdline: a.noCmdline, source: a.source}
	var err error
	if a.history != historyOff {
		if p.dir, err = filepath.Abs(a.history); err != nil {
			return nil, fmt.Errorf("%s: %w", called("history"), err)
		}
	}
	if a.days < 1 {
		return nil, usagef("%s: want a number of days, got %d", called("history-days"), a.days)
	}
	if a.rollupDays < 1 {
		return nil, usagef("%s: want a number of days, got %d", called("rollup-days"), a.rollupDays)
	}
	if p.bytes, err = parseSize(a.bytes); err != nil {
		return nil, usagef("%s: %w", called("history-bytes"), err)
	}
	if a.group != "" {
		if p.gid, err = groupID(a.group); err != nil {
			return nil, err
		}
	}
	if a.metrics != metricsOff {
		if p.metrics, err = listenAddr(a.metrics); err != nil {
			return nil, usagef("%s: %w", called("metrics"), err)
		}
	}
	if a.keep != "" {
		if p.keep, _, err = parseFilter([]string{a.keep}); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// planServing reads the flags of the socket and the address.
func (a *agentJob) planServing(cmd *cobra.Command, p *agentPlan, called func(flag string) string) error {
	var err error
	if p.asked = cmd.Flags().Changed("socket"); a.socket != historyOff {
		if p.socket, err = filepath.Abs(a.socket); err != nil {
			return fmt.Errorf("%s: %w", called("socket"), err)
		}
	}
	mode, err := strconv.ParseUint(a.mode, 8, 32)
	if err != nil || mode&^0o666 != 0 || mode&0o600 != 0o600 {
		return usagef("%s: want 0600, 0660 or 0666, got %q", called("socket-mode"), a.mode)
	}
	p.mode, p.listen, p.token = fs.FileMode(mode), a.listen, a.token
	return a.planTLS(p, called)
}

// planTLS checks which of the flags of an address stand together.
func (a *agentJob) planTLS(p *agentPlan, called func(flag string) string) error {
	p.tlsCert, p.tlsKey, p.tlsClientCA = a.tlsCert, a.tlsKey, a.tlsClientCA
	for _, f := range []struct{ name, value string }{
		{"token", a.token}, {"tls-cert", a.tlsCert}, {"tls-key", a.tlsKey}, {"tls-client-ca", a.tlsClientCA},
	} {
		if f.value != "" && a.listen == "" {
			return usagef("%s: want --listen too", called(f.name))
		}
	}
	switch {
	case a.tlsCert != "" && a.tlsKey == "":
		return usagef("%s: want --tls-key too", called("tls-cert"))
	case a.tlsKey != "" && a.tlsCert == "":
		return usagef("%s: want --tls-cert too", called("tls-key"))
	case a.tlsClientCA != "" && a.tlsCert == "":
		return usagef("%s: want --tls-cert and --tls-key too", called("tls-client-ca"))
	}
	return nil
}

// parseSize reads a number of bytes: 2GiB, 500MB, 1048576.
func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "BbIiKkMmGgTt")
	factor, unit := int64(1), strings.ToLower(text[len(digits):])
	if unit = strings.TrimSuffix(unit, "b"); unit != "" {
		power := strings.IndexByte("kmgt", unit[0]) + 1
		base := int64(1000)
		if unit[1:] == "i" {
			base = 1024
		}
		if power == 0 || unit[1:] != "" && unit[1:] != "i" {
			return 0, errSize
		}
		for range power {
			factor *= base
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 || n > (1<<62)/factor {
		return 0, errSize
	}
	return n * factor, nil
}

var errSize = errors.New("want a size such as 2GiB or 500MB")
