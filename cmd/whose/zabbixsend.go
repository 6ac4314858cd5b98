package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-44df2ae6/whose/internal/zabbix"
)

// A zabbixSend is the job of whose zabbix send.
type zabbixSend struct {
	sh *shell
	zabbixQuestion
	host, key string
	values    bool
}

func newZabbixSend(sh *shell) *cobra.Command {
	s := &zabbixSend{sh: sh}
	cmd := &cobra.Command{
		Use:   "send [flags] [filter…]",
		Short: "print lines for zabbix_sender",
		Long: `Print the document of whose zabbix get as a line for zabbix_sender -i -, for hosts without
an agent or for a timer. The template for it is that of whose zabbix template --trapper: one item
of the type Zabbix trapper with the key whose.get, and everything else dependent on it.

With --values each value is a line of its own, under the keys of the template's items, for
trapper items of one's own. Lines are sent to any number of items, but items that nobody made
count as failed in what zabbix_sender prints.

No agent cuts the document here, so that it may have 4 MiB. Where nothing could be collected,
the line says so all the same, and the exit status is 3.`,
		Example: "whose zabbix send | zabbix_sender -c /etc/zabbix/zabbix_agent2.conf -i -\tfrom a timer\n" +
			"whose zabbix send --host web1 | zabbix_sender -z zabbix.example.org -i -\twithout an agent's configuration",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeFilter,
		RunE:              s.run,
	}
	s.addFlags(cmd)
	s.addEphemeral(cmd)
	s.addSocket(cmd)
	show := flagGroup{cmd.Flags(), groupShow}
	show.text(&s.host, "host", "", "-", "NAME", "the host's name in Zabbix; - for that of zabbix_sender")
	show.text(&s.key, "key", "", zabbix.DocumentKey, "KEY", "the key of the item that takes the document")
	show.boolean(&s.values, "values", "", "a line for each value in place of the document")
	return cmd
}

// maxSenderWord is the number of bytes kept by zabbix_sender of a host or key.
const maxSenderWord = 2047

// maxSenderLines bounds the output of a second process: a document with each byte
// escaped, or its values with the keys.
const maxSenderLines = 4 * zabbix.MaxSenderSize

func (s *zabbixSend) run(cmd *cobra.Command, words []string) error {
	for flag, word := range map[string]string{"host": s.host, "key": s.key} {
		if word == "" || len(word) > maxSenderWord || strings.ContainsAny(word, "\x00\r\n") {
			return usagef("--%s: want a name of 1 to %d bytes on one line", flag, maxSenderWord)
		}
	}
	job, err := newZabbixJob(cmd, &s.zabbixQuestion, words)
	if err != nil {
		return err
	}
	lines, done, failed := job.second(s.sh, maxSenderLines, wholeLines)
	if !done {
		var d *zabbix.Document
		if d, failed = job.document(cmd.Context()); failed == nil {
			lines, err = s.lines(d)
		}
	}
	if failed != nil {
		lines, err = s.lines(failedDocument(failed))
	}
	if err != nil {
		return err
	}
	if _, err := s.sh.out.Write(lines); err != nil {
		return writeError(err)
	}
	return failed
}

// wholeLines reports whether text is one line or more.
func wholeLines(text []byte) bool { return bytes.HasSuffix(text, []byte("\n")) }

// lines makes the input of zabbix_sender.
func (s *zabbixSend) lines(d *zabbix.Document) ([]byte, error) {
	text, err := d.Encode(zabbix.MaxSenderSize, false)
	if err != nil {
		return nil, fmt.Errorf("write document: %w", err)
	}
	if s.values {
		return d.AppendValues(nil, s.host)
	}
	return zabbix.AppendLine(nil, s.host, s.key, string(text)), nil
}
