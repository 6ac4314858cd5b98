package render

import "github.com/seed-44df2ae6/whose"

// A style is how a cell is shown where colour is allowed. Only colours of the
// terminal's own sixteen are used, and of those only ones that are readable on
// a dark ground and on a light one: no yellow, no blue, no black, no white.
type style uint8

const (
	plain   style = iota
	faint         // what is of less interest
	strong        // titles; what one looks for first
	waiting       // listeners
	open          // established
	passing       // being opened or closed
	alarm         // what somebody has to see to
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

// appendStyled appends text in a style, plainly where there is no colour.
func appendStyled(dst, text []byte, s style, color bool) []byte {
	if !color || s == plain || len(text) == 0 {
		return append(dst, text...)
	}
	dst = append(dst, styleCodes[s]...)
	dst = append(dst, text...)
	return append(dst, styleEnd...)
}
