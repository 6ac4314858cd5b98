package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"

	"github.com/seed-44df2ae6/whose"
)

// templateFuncs are the functions of a template; see templated.
func templateFuncs() template.FuncMap {
	return template.FuncMap{
		"join":     templateJoin,
		"owners":   templateOwnersText,
		"endpoint": templateEndpoint,
		"json":     templateJSON,
		"raw":      templateRaw,
	}
}

// A TemplateFunction is a function of templates, for help and reference.
type TemplateFunction struct {
	// Usage is an example of a call, Doc its result.
	Usage, Doc string
}

// TemplateFunctions returns the functions of the format Template beside those of
// text/template itself.
func TemplateFunctions() []TemplateFunction {
	return []TemplateFunction{
		{"owners .owners", "the owners as the table shows them, all of them: nginx 812,813, systemd 1"},
		{"endpoint .local_addr .local_port", "an address with its port: [::1]:443"},
		{`join "," .fds`, "the elements of a list, parted; of .owners each as name:pid"},
		{"json .", "JSON of a session, of .owners, of one value"},
		{"raw .comm", "a text as it is, escape codes and all"},
	}
}

func templateJoin(sep string, list any) (string, error) {
	var parts []string
	switch list := list.(type) {
	case []int32:
		for _, n := range list {
			parts = append(parts, fmt.Sprint(n))
		}
	case []map[string]any:
		for _, o := range list {
			parts = append(parts, fmt.Sprintf("%v:%v", o["comm"], o["pid"]))
		}
	default:
		return "", fmt.Errorf("%v is no list", list)
	}
	return strings.Join(parts, sep), nil
}

// templateOwnersText lists owners as the table does, without folding.
func templateOwnersText(list []map[string]any) string {
	owners := make([]whose.Owner, len(list))
	for i, o := range list {
		comm, _ := o["comm"].(hostileText)
		pid, _ := o["pid"].(uint64)
		owners[i].Process = &whose.Process{Comm: string(comm), PID: uint32(pid)}
	}
	if len(owners) == 0 {
		return ""
	}
	var t table
	var c cell
	t.ownersCell(&c, owners, 0)
	return string(c.text)
}

func templateEndpoint(addr string, port uint64) string {
	if strings.Contains(addr, ":") {
		return fmt.Sprintf("[%s]:%d", addr, port)
	}
	return fmt.Sprintf("%s:%d", addr, port)
}

// templateJSON leaves out keys without a value, as the format JSON does.
func templateJSON(v any) (string, error) {
	switch data := v.(type) {
	case map[string]any:
		v = withoutEmpty(data)
	case []map[string]any:
		all := make([]map[string]any, len(data))
		for i := range data {
			all[i] = withoutEmpty(data[i])
		}
		v = all
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func withoutEmpty(data map[string]any) map[string]any {
	kept := make(map[string]any, len(data))
	for k, v := range data {
		if inner, ok := v.(map[string]any); ok {
			if inner = withoutEmpty(inner); len(inner) > 0 {
				kept[k] = inner
			}
		} else if list, ok := v.([]map[string]any); ok {
			if len(list) == 0 && k == "peer" {
				continue
			}
			all := make([]map[string]any, len(list))
			for i := range list {
				all[i] = withoutEmpty(list[i])
			}
			kept[k] = all
		} else if v != "" {
			kept[k] = v
		}
	}
	return kept
}

func templateRaw(v any) string {
	if t, ok := v.(hostileText); ok {
		return string(t)
	}
	return fmt.Sprint(v)
}
