package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

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
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return versionOf(version, info)
}

// versionOf names the version by the first that is known: what the linker was
// given, the version of the module, the revision. By go install …@VERSION the
// module has one, in a checkout too since Go 1.24.
func versionOf(linked string, info *debug.BuildInfo) buildInfo {
	v := buildInfo{Version: linked, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
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
	switch module := info.Main.Version; {
	case v.Version != "":
	case module != "" && module != "(devel)":
		v.Version = module
	case v.Revision != "":
		v.Version = v.shortRevision()
		if v.Modified {
			v.Version += "-dirty"
		}
	default:
		v.Version = "devel"
	}
	return v
}

// shortRevision is as long as Go writes it in the version of a module.
func (v buildInfo) shortRevision() string { return v.Revision[:min(12, len(v.Revision))] }

// String is the version in one line, with the revision where the version does not
// name it.
func (v buildInfo) String() string {
	line := v.short()
	if v.Revision != "" && !strings.Contains(v.Version, v.shortRevision()) {
		line += " (" + v.shortRevision()
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
