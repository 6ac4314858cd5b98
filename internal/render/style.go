package render

import "github.com/seed-44df2ae6/whose"

// A style is the look of a cell in colour. It uses only colours of the
// terminal's own sixteen, and only those readable on a dark and on a light
// ground: no yellow, no blue, no black, no white.
type style uint8

const (
	plain   style = iota
	faint         // of less interest
	strong        // titles; the first thing to look for
	waiting       // listeners
	open          // established
	passing       // being opened or closed
	alarm         // something to see to
)

// The codes, by style.
var styleCodes = [...]string{
	faint: "\x1b[2m", strong: "\x1b[1m", waiting: "\x1b[36m", open: "\x1b[32m",
	passing: "\x1b[35m", alarm: "\x1b[31m",
}

const styleEnd = "\x1b[0m"

func styleOf(s whose.State) style {
	switch s {
	case whose.Listen, whose.Unconn:
		return waiting
	case whose.Established:
		return open
	}
	return passing
}

// appendStyled appends text in a style, plainly if colour is off.
func appendStyled(dst, text []byte, s style, color bool) []byte {
	if !color || s == plain || len(text) == 0 {
		return append(dst, text...)
	}
	dst = append(dst, styleCodes[s]...)
	dst = append(dst, text...)
	return append(dst, styleEnd...)
}
