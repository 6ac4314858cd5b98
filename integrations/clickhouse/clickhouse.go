// Package clickhouse holds the tables of a fleet, as files that whose fleet init runs
// and that an administrator may read and run himself.
package clickhouse

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
)

//go:embed *.sql
var files embed.FS

// rolesFile has the roles, which no step makes: not every server has a place for them.
const rolesFile = "roles.sql"

// A Migration is one step from an older shape of the tables to a newer one. It removes
// nothing.
type Migration struct {
	// Number is its place in the order: the file's name begins with it.
	Number int
	// Name is that of the file: "001_sessions.sql".
	Name string
	// Statements are its statements, each for one request. {db} in them stands for the
	// name of the database.
	Statements []string
}

// Migrations returns all steps in their order.
func Migrations() ([]Migration, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var all []Migration
	for i, e := range entries { // sorted by name
		if e.Name() == rolesFile {
			continue // behind all numbers
		}
		text, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		digits, _, _ := strings.Cut(e.Name(), "_")
		m := Migration{Name: e.Name(), Statements: statements(string(text))}
		if m.Number, err = strconv.Atoi(digits); err != nil || m.Number != i+1 {
			return nil, fmt.Errorf("%s: want the number %03d", e.Name(), i+1)
		}
		all = append(all, m)
	}
	return all, nil
}

// Roles returns the statements that make the two roles and give them their rights. They
// may be run any number of times.
func Roles() ([]string, error) {
	text, err := files.ReadFile(rolesFile)
	return statements(string(text)), err
}

// statements splits a file at the lines that end in a semicolon.
func statements(text string) []string {
	var all []string
	for part := range strings.SplitSeq(text, ";\n") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}
