package container

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzScanner holds the scanner against encoding/json: what that reads, the scanner
// reads as well, with the same texts. It may go past what that refuses in a number.
func FuzzScanner(f *testing.F) {
	for _, c := range []string{
		`{"a":"x"}`, `{"b":[1,2,{"a":"y"}],"a":"\u00e9\ud83d\ude00\n"}`, `{"a":null}`, `{"a":"1","a":"2"}`, `{}`, `{"a":-1.5e3,"c":true}`,
		`{"a":"x"} `, `{"a":"x"}x`, `{"a"}`, `{"a":"x",}`, `[`, `"`, `{"\u0061":"x"}`, `{"a":"\ud800\u0041"}`, `{"a":{"a":"z"}}`,
	} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := readText(strings.NewReader(text), "a", maxText)
		var want map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &want) != nil || !utf8.ValidString(text) || depthOf(text) > maxDepth {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		last := ""
		if json.Unmarshal(want["a"], &last) != nil {
			last = ""
		}
		if len(last) <= maxText && got != last {
			t.Errorf("%q: %q, want %q", text, got, last)
		}
	})
}

// depthOf returns at least how deep brackets lie in one another.
func depthOf(text string) (most int) {
	depth := 0
	for _, c := range text {
		switch c {
		case '{', '[':
			depth++
			most = max(most, depth)
		case '}', ']':
			depth--
		}
	}
	return most
}

// FuzzFind wants names that a runtime may give, out of any content.
func FuzzFind(f *testing.F) {
	for _, text := range hostTree(f).files {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h := &tree{files: map[string]string{
			"/var/lib/docker/containers/" + id("a") + "/config.v2.json":                        text,
			"/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + id("a") + "/config.json": text,
			"/run/containers/storage/overlay-containers/" + id("a") + "/userdata/config.json":  text,
			"/var/lib/containers/storage/overlay-containers/containers.json":                   text,
			"/etc/docker/daemon.json": text,
		}}
		for _, runtime := range []string{Docker, Containerd, CRIO, Podman, ""} {
			n, _ := NewFinder(h).Find(ID{id("a"), runtime, somePod})
			for _, name := range []string{n.Name, n.PodName, n.PodNamespace} {
				if name != "" && !isName(name) {
					t.Errorf("%q out of %q", name, text)
				}
			}
			if n.Image != "" && !isImage(n.Image) {
				t.Errorf("%q out of %q", n.Image, text)
			}
		}
	})
}
