package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker in a release (see the Makefile).
var version = ""

// A buildInfo describes the source of the binary.
type buildInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

func newVersion(sh *shell) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "version [flags]",
		Short: "say which version this is",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := buildVersion()
			switch format {
			case "text":
				_, err := fmt.Fprintln(sh.out, v.String())
				return writeError(err)
			case "json":
				return printJSON(sh.out, v)
			}
			return unknownFormat(format, "text", "json")
		},
	}
	flagGroup{cmd.Flags(), groupShow}.text(&format, "output", "o", "text", "FORMAT", "format: text, json")
	complete(cmd, "output", completeWords("text", "json"))
	return cmd
}

// buildVersion reads the information of the go command in the binary.
func buildVersion() buildInfo {
	v := buildInfo{Version: "devel", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if version != "" {
		v.Version = version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if version == "" && info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

// String is the version in one line.
func (v buildInfo) String() string {
	line := v.short()
	if v.Revision != "" {
		line += " (" + v.Revision[:min(12, len(v.Revision))]
		if v.Modified {
			line += ", modified"
		}
		line += ")"
	}
	return line + " " + v.Go + " " + v.OS + "/" + v.Arch
}

// printJSON writes v as indented JSON.
func printJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	_, err = w.Write(append(text, '\n'))
	return writeError(err)
}

// short is the name with the version.
func (v buildInfo) short() string { return "whose " + v.Version }
