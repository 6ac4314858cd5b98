package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
)

// The part of SPDX 2.3 that a bill needs.
type document struct {
	Version       string         `json:"spdxVersion"`
	License       string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Creation      creation       `json:"creationInfo"`
	Packages      []spdxPackage  `json:"packages"`
	Relationships []relationship `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID          string      `json:"SPDXID"`
	Name        string      `json:"name"`
	Version     string      `json:"versionInfo"`
	Download    string      `json:"downloadLocation"`
	Analysed    bool        `json:"filesAnalyzed"`
	Concluded   string      `json:"licenseConcluded"`
	Declared    string      `json:"licenseDeclared"`
	Copyright   string      `json:"copyrightText"`
	Purpose     string      `json:"primaryPackagePurpose,omitempty"`
	SourceInfo  string      `json:"sourceInfo,omitempty"`
	ExternalRef []reference `json:"externalRefs,omitempty"`
}

type reference struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

const (
	none     = "NOASSERTION"
	describe = "SPDXRef-DOCUMENT"
)

// document has a package for each program and for each module, and says which
// program links which module. Its name space is of its content, so that two bills
// that differ are two.
func (b *bill) document() *document {
	d := &document{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: describe, Name: "whose-" + b.version,
		Creation: creation{Created: b.date, Creators: []string{"Tool: whose-bill", "Organization: whose maintainers"}},
	}
	for _, p := range b.programs {
		d.Packages = append(d.Packages, spdxPackage{
			ID: id(p.name), Name: p.name, Version: b.version, Download: none, Concluded: "Apache-2.0", Declared: "Apache-2.0",
			Copyright: none, Purpose: "APPLICATION", ExternalRef: purl(p.path, b.version),
		})
		d.Relationships = append(d.Relationships, relationship{describe, "DESCRIBES", id(p.name)})
		for _, link := range p.links {
			d.Relationships = append(d.Relationships, relationship{id(p.name), "STATIC_LINK", id(link)})
		}
	}
	for _, m := range b.modules {
		p := spdxPackage{
			ID: id(m.path), Name: m.path, Version: m.version, Download: none, Concluded: none, Declared: m.licence,
			Copyright: none, Purpose: "LIBRARY", ExternalRef: purl(m.path, m.version),
		}
		if m.sum != "" {
			p.SourceInfo = "go.sum: " + m.sum
		}
		d.Packages = append(d.Packages, p)
	}
	text, _ := json.Marshal(d) // of strings alone: it cannot fail
	sum := sha256.Sum256(text)
	d.Namespace = "https://github.com/seed-44df2ae6/whose/spdx/" + d.Name + "-" + hex.EncodeToString(sum[:8])
	return d
}

// other is what an identifier of SPDX may not have.
var other = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

func id(name string) string { return "SPDXRef-" + other.ReplaceAllString(name, "-") }

func purl(path, version string) []reference {
	return []reference{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + path + "@" + version}}
}
