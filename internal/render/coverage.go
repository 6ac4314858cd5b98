package render

import (
	"fmt"
	"strconv"

	"github.com/seed-44df2ae6/whose"
)

// AppendCoverage appends the coverage as a JSON object, as every answer in JSON has it.
// It leaves out facts
// nobody asked for: without owners, the counts of owned sessions. Without gaps
// it still writes an empty "partial", so nobody takes its absence for a whole
// answer.
func AppendCoverage(dst []byte, c *whose.Coverage) []byte {
	dst = appendJSONString(append(dst, `{"source":`...), c.Source)
	dst = strconv.AppendBool(append(dst, `,"pinned":`...), c.Pinned)
	dst = appendCount(dst, `,"sessions":`, c.Sessions)
	if c.OwnersAsked {
		dst = appendCount(dst, `,"owned":`, c.Owned)
		dst = appendOwnerless(append(dst, `,"ownerless":{`...), c)
		dst = append(dst, '}')
	}
	dst = appendCount(dst, `,"processes":`, c.Processes)
	dst = appendCount(dst, `,"namespaces":`, c.Namespaces)
	dst = appendGaps(append(dst, `,"partial":`...), c.Gaps)
	dst = strconv.AppendInt(append(dst, `,"duration":`...), c.Duration.Microseconds(), 10)
	return append(dst, '}')
}

// appendOwnerless appends the reasons found, with their counts.
func appendOwnerless(dst []byte, c *whose.Coverage) []byte {
	first := true
	for r, n := range c.Ownerless {
		if n == 0 || whose.Reason(r) == whose.ReasonNone {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendJSONString(dst, whose.Reason(r).String())
		dst = strconv.AppendInt(append(dst, ':'), int64(n), 10)
	}
	return dst
}

// appendGaps appends the gaps as a JSON array, safe for a terminal. JSON has no
// control characters outside of strings.
func appendGaps(dst []byte, gaps whose.Gaps) []byte {
	dst = append(dst, '[')
	for i, g := range gaps {
		if i > 0 {
			dst = append(dst, ',')
		}
		text, err := g.MarshalJSON()
		if err != nil {
			panic(fmt.Sprintf("gap %v as JSON: %v", g, err)) // names and text only
		}
		dst = appendEscaped(dst, string(text), jsonEscape)
	}
	return append(dst, ']')
}

func appendCount(dst []byte, key string, n int) []byte {
	return strconv.AppendInt(append(dst, key...), int64(n), 10)
}
