package filter

import "slices"

// Users returns the names of users in the expression, each once: whoever
// evaluates it looks up their numbers for [Env]. Numbers, patterns and regular
// expressions are no names.
func Users(e Expr) []string {
	var names []string
	walk(e, true, func(c *Cond, _ bool) {
		if c.name != "user" && c.name != "owner_user" || c.op.positive() != Eq {
			return
		}
		for _, v := range c.values {
			if !v.glob && !isDigits(v.text) && !slices.Contains(names, v.text) {
				names = append(names, v.text)
			}
		}
	})
	return names
}
