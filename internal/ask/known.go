package ask

import (
	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/filter"
)

// Unknown returns the first field of an expression that no session of a live table
// has, nil for none: a question about it would find nothing.
func Unknown(e filter.Expr) *whose.Field {
	switch e := e.(type) {
	case *filter.And:
		return firstUnknown(e.Terms)
	case *filter.Or:
		return firstUnknown(e.Terms)
	case *filter.Not:
		return Unknown(e.X)
	case *filter.Cond:
		if f := whose.FieldByName(e.Field()); f != nil && !Known(f) {
			return f
		}
	}
	return nil
}

func firstUnknown(terms []filter.Expr) *whose.Field {
	for _, e := range terms {
		if f := Unknown(e); f != nil {
			return f
		}
	}
	return nil
}

// Known reports whether sessions of a live table may have the field. Descriptors and
// the figures of TCP change with every moment; nobody reports them.
func Known(f *whose.Field) bool {
	return f.Name == "age" || f.Of != whose.OfTCP && f.Of != whose.OfEvent && f.Name != "fds"
}

// Missing returns the gaps of an answer with the fields: those that no session of a
// live table has.
func Missing(fields []*whose.Field) whose.Gaps {
	var gaps whose.Gaps
	for _, f := range fields {
		if !Known(f) {
			gaps.Add(whose.Gap{Kind: whose.GapFacts, Cause: whose.CauseUnsupported, Detail: "the agent's live table does not have " + f.Name})
		}
	}
	return gaps
}
