package filter

import "github.com/seed-44df2ae6/whose"

// Needs returns the facts to collect for the evaluation of the expression.
func Needs(e Expr) whose.Needs {
	var needs whose.Needs
	walk(e, true, func(c *Cond, _ bool) {
		if c.name == "netns" && !c.namesNetNS() {
			return // the number comes with the socket
		}
		subj, ok := subjectByName(c.name)
		if !ok {
			return
		}
		for _, f := range subj.fields {
			needs |= f.Needs
		}
	})
	return needs
}

// namesNetNS reports whether a condition on netns has a name among its values.
func (c *Cond) namesNetNS() bool {
	for _, v := range c.values {
		if v.named {
			return true
		}
	}
	return false
}
