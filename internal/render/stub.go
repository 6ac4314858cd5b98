package render
import ("io";"github.com/seed-44df2ae6/whose")
func newTable(w io.Writer, format string, opts *Options) Renderer {return nil}
func newTemplate(w io.Writer, text string) (Renderer, error) {return nil,nil}
func templateFields(text string) []*whose.Field {return nil}
