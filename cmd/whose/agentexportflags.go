package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"
)

// defaultSpool is where the lines wait that an agent exports.
const defaultSpool = "/var/lib/whose/spool"

// exportFlags are the flags of whose agent about where it sends what happens.
type exportFlags struct {
	to, ca, cert, key, credentials string
	spool, bytes, host             string
}

func (e *exportFlags) add(cmd *cobra.Command) {
	f := flagGroup{cmd.Flags(), groupExport}
	f.text(&e.to, "export", "", "", "URL", "send what happens to clickhouse+https://HOST[/DATABASE] or file:/DIR")
	f.text(&e.ca, "export-ca", "", "", "FILE", "believe servers whose certificates these authorities signed")
	f.text(&e.cert, "export-cert", "", "", "FILE", "the certificate by which the agent shows who it is")
	f.text(&e.key, "export-key", "", "", "FILE", "the key of that certificate")
	f.text(&e.credentials, "export-credentials", "", "", "FILE", "USER:PASSWORD or a bearer token is in this file")
	f.text(&e.spool, "spool", "", defaultSpool, valueDir, "where lines wait while the receiver is away")
	f.text(&e.bytes, "spool-bytes", "", "256MiB", "SIZE", "drop the oldest of them beyond this size")
	f.text(&e.host, "host", "", "", "NAME", "the name of this host in what is kept and sent, instead of its own")
}

// An exportPlan holds the checked flags.
type exportPlan struct {
	exportFlags
	size int64
}

// plan checks the flags; nil means that nothing is sent.
func (e *exportFlags) plan(called func(flag string) string) (*exportPlan, error) {
	if e.to == "" {
		for flag, value := range map[string]string{
			"export-ca": e.ca, "export-cert": e.cert, "export-key": e.key, "export-credentials": e.credentials,
		} {
			if value != "" {
				return nil, usagef("%s: want --export too", called(flag))
			}
		}
		return nil, nil
	}
	p := &exportPlan{exportFlags: *e}
	var err error
	if p.size, err = parseSize(e.bytes); err != nil {
		return nil, usagef("%s: %w", called("spool-bytes"), err)
	}
	if p.spool, err = filepath.Abs(e.spool); err != nil {
		return nil, fmt.Errorf("%s: %w", called("spool"), err)
	}
	return p, nil
}
