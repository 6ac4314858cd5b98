package render

import (
	"github.com/seed-44df2ae6/whose"
	"io"
)

func newTemplate(w io.Writer, text string) (Renderer, error) { return nil, nil }
func templateFields(text string) []*whose.Field              { return nil }
