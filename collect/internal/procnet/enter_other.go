//go:build !linux

package procnet

import "github.com/seed-44df2ae6/whose"

// inNetNS cannot enter a namespace where there are none.
func inNetNS(string, uint32, func() error) error {
	return &whose.UnsupportedError{What: "entering a network namespace"}
}
