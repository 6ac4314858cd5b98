package render

import (
	"text/template"
	"text/template/parse"

	"github.com/seed-44df2ae6/whose"
)

// templateFields returns the fields in a template, or all fields of JSON if it
// uses a session or a list of owners as a whole.
func templateFields(text string) []*whose.Field {
	tmpl, err := parseTemplate(text)
	if err != nil {
		return nil
	}
	return fieldsMentioned(namesIn(tmpl))
}

// fieldsMentioned returns the fields for a template with these names.
func fieldsMentioned(names map[string]bool) []*whose.Field {
	var fields []*whose.Field
	for _, f := range whose.Fields() {
		whole := (names["."] || names["$"]) && whose.NeedDefault.Has(f.Needs)
		listed := f.Of == whose.OfPeer && names["peer"] || f.Of == whose.OfOwner && names["owners"] && whose.NeedOwners.Has(f.Needs)
		if names[f.JSONKey()] || whole || listed {
			fields = append(fields, f)
		}
	}
	return fields
}

// namesIn returns the identifiers in a template.
func namesIn(tmpl *template.Template) map[string]bool {
	names := make(map[string]bool)
	for _, t := range tmpl.Templates() {
		if t.Tree != nil && t.Root != nil {
			collectNames(t.Root, names)
		}
	}
	return names
}

// collectNames notes the identifiers of fields anywhere below a node. It notes
// quoted ones too, since index takes them, and "." for the dot as a whole.
func collectNames(node parse.Node, names map[string]bool) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, child := range n.Nodes {
				collectNames(child, names)
			}
		}
	case *parse.ActionNode:
		collectNames(n.Pipe, names)
	case *parse.PipeNode:
		if n != nil {
			for _, child := range n.Cmds {
				collectNames(child, names)
			}
		}
	case *parse.CommandNode:
		for _, child := range n.Args {
			collectNames(child, names)
		}
	case *parse.FieldNode:
		noteNames(names, n.Ident...)
	case *parse.VariableNode:
		noteNames(names, n.Ident...)
	case *parse.ChainNode:
		collectNames(n.Node, names)
		noteNames(names, n.Field...)
	case *parse.StringNode:
		noteNames(names, n.Text)
	case *parse.DotNode:
		noteNames(names, ".")
	case *parse.IfNode:
		collectBranch(&n.BranchNode, names)
	case *parse.RangeNode:
		collectBranch(&n.BranchNode, names)
	case *parse.WithNode:
		collectBranch(&n.BranchNode, names)
	case *parse.TemplateNode:
		collectNames(n.Pipe, names)
	}
}

func collectBranch(b *parse.BranchNode, names map[string]bool) {
	collectNames(b.Pipe, names)
	collectNames(b.List, names)
	collectNames(b.ElseList, names)
}

func noteNames(names map[string]bool, list ...string) {
	for _, name := range list {
		names[name] = true
	}
	if len(list) > 0 && list[len(list)-1] == eventSession {
		names["."] = true // the session of an event as a whole
	}
}
