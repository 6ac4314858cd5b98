package zabbix

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// TemplateOptions are choices of a template. In the zero value the server asks
// the agent for the master item.
type TemplateOptions struct {
	// Trapper makes the master item wait for `whose zabbix send`.
	Trapper bool
}

// Versions are the versions of Zabbix with a template. A template works with its
// version and with newer ones.
func Versions() []string { return []string{"6.0", "7.0"} }

// The group of the templates. Every Zabbix has it.
const (
	groupName = "Templates/Applications"
	groupUUID = "a571c0d144b14fd4a87a9d9b2aa9fcd6"
)

// masterKey is the key of the item with the document.
const masterKey = DocumentKey

// Template returns the template for a version of Zabbix as YAML. It fails for a
// version outside of [Versions].
func Template(version string, opts TemplateOptions) ([]byte, error) {
	if !slices.Contains(Versions(), version) {
		return nil, fmt.Errorf("no template for Zabbix %q: there are %s", version, strings.Join(Versions(), " and "))
	}
	t := &template{version: version, opts: opts, name: TemplateName(opts)}
	return writeYAML(yamlMap{{"zabbix_export", t.export()}}), nil
}

// TemplateName returns the name of a template, with its way of collecting.
func TemplateName(opts TemplateOptions) string {
	if opts.Trapper {
		return "Sessions and their processes by Zabbix trapper"
	}
	return "Sessions and their processes by Zabbix agent"
}

// A template writes one template.
type template struct {
	version, name string
	opts          TemplateOptions
}

// uuid returns the id of a thing of the template. It has the form of UUIDv4 and
// is the same in every version and every run, so an import updates.
func (t *template) uuid(kind, key string) string {
	sum := sha256.Sum256([]byte(t.name + "\x00" + kind + "\x00" + key))
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80
	return hex.EncodeToString(sum[:16])
}

func (t *template) seven() bool { return t.version == "7.0" }

func (t *template) export() yamlMap {
	groups := "groups"
	if t.seven() {
		groups = "template_groups"
	}
	return yamlMap{
		{"version", t.version},
		{groups, yamlList{yamlMap{{"uuid", groupUUID}, {"name", groupName}}}},
		{"templates", yamlList{t.body()}},
		{"triggers", t.triggers(OfHost)},
		{"graphs", t.graphs(OfHost)},
	}
}

// about is the description in the list of templates.
const about = `Every TCP and UDP session of a Linux host and the processes that own them, from one collection a minute by whose: totals, each listener and each process with items, triggers and graphs.

`

func (t *template) body() yamlMap {
	how := "Needs whose on the host and its UserParameter file for the agent; see the README beside this template."
	if t.opts.Trapper {
		how = "Needs whose on the host and a timer that runs: whose zabbix send | zabbix_sender -z SERVER -i -"
	}
	return yamlMap{
		{"uuid", t.uuid("template", "")},
		{"template", t.name},
		{"name", t.name},
		{"description", about + how + "\n"},
		{"groups", yamlList{yamlMap{{"name", groupName}}}},
		{"items", t.items()},
		{"discovery_rules", yamlList{t.processRule(), t.listenerRule()}}, // the short list first, which is cheaper
		{"tags", tags("class", "network", "target", "sessions")},
		{"macros", t.macros()},
		{"dashboards", t.dashboards()},
		{"valuemaps", t.valueMaps()},
	}
}

func (t *template) macros() yamlList {
	var list yamlList
	for _, m := range Macros() {
		if t.opts.Trapper && m.Name == intervalMacro {
			continue
		}
		list = append(list, yamlMap{{"macro", m.Name}, {"value", m.Value}, {"description", m.About}})
	}
	return list
}

func (t *template) valueMaps() yamlList {
	var list yamlList
	for _, m := range []struct{ name, no, yes string }{{mapYesNo, "No", "Yes"}, {mapComplete, "Partial", "Complete"}} {
		list = append(list, yamlMap{
			{"uuid", t.uuid("valuemap", m.name)},
			{"name", m.name},
			{"mappings", yamlList{
				yamlMap{{"value", "0"}, {"newvalue", m.no}},
				yamlMap{{"value", "1"}, {"newvalue", m.yes}},
			}},
		})
	}
	return list
}

// tags makes a list of tags of names and values in turn.
func tags(pairs ...string) yamlList {
	var list yamlList
	for pair := range slices.Chunk(pairs, 2) {
		list = append(list, yamlMap{{"tag", pair[0]}, {"value", pair[1]}})
	}
	return list
}
