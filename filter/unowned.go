package filter

// WithoutOwners returns what the expression asks of a session whose owners are not
// known: it is met by every session that meets e whoever its owners may be. Nil
// is met by every session.
func WithoutOwners(e Expr) Expr { return withoutOwners(e, true) }

// withoutOwners replaces conditions on owners by what lets more sessions pass:
// always or, under a negation, never.
func withoutOwners(e Expr, positive bool) Expr {
	switch e := e.(type) {
	case *And:
		return &And{Terms: termsWithoutOwners(e.Terms, positive)}
	case *Or:
		return &Or{Terms: termsWithoutOwners(e.Terms, positive)}
	case *Not:
		return &Not{X: withoutOwners(e.X, !positive)}
	case *Cond:
		subj, ok := subjectByName(e.name)
		switch {
		case !ok || !subj.fields[0].PerOwner() && e.name != "reason":
			return e
		case positive:
			return &And{}
		default:
			return &Or{}
		}
	}
	return e
}

func termsWithoutOwners(terms []Expr, positive bool) []Expr {
	all := make([]Expr, len(terms))
	for i, t := range terms {
		all[i] = withoutOwners(t, positive)
	}
	return all
}
