package zabbix

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWriteYAML(t *testing.T) {
	doc := yamlMap{
		{"plain", "Templates/Applications"},
		{"empty", ""},
		{"none", yamlList{}},
		{"y", "0"},
		{"quoted", yamlList{"yes", "7.0", "it's", "{$MACRO}", "a: b", "- c", "", "#", "@x", "1e3", "null", "*", "&a", "x y"}},
		{"lines", "one\n\n  two\n"},
		{"list", yamlList{
			yamlMap{{"tag", "scope"}, {"value", "notice"}},
			yamlMap{{"nested", yamlMap{{"key", "whose.get"}}}},
		}},
	}
	const want = `plain: Templates/Applications
'y': '0'
quoted:
  - 'yes'
  - '7.0'
  - 'it''s'
  - '{$MACRO}'
  - 'a: b'
  - '- c'
  - ''
  - '#'
  - '@x'
  - '1e3'
  - 'null'
  - '*'
  - '&a'
  - 'x y'
lines: |
  one

    two
list:
  - tag: scope
    value: notice
  - nested:
      key: whose.get
`
	if diff := cmp.Diff(want, string(writeYAML(doc))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
