package render

import (
	"strconv"
	"time"

	"github.com/seed-44df2ae6/whose"
)

// appendCoverage appends the coverage as a JSON object. What was not asked for
// is left out: without owners, who is owned; without gaps, "partial" is empty
// and stands all the same, so that nobody takes its absence for a whole answer.
func appendCoverage(dst []byte, c *whose.Coverage) []byte {
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
	dst = append(dst, `,"partial":[`...)
	for i := range c.Gaps {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendGap(dst, &c.Gaps[i])
	}
	ms := float64(c.Duration.Round(time.Microsecond)) / float64(time.Millisecond)
	dst = strconv.AppendFloat(append(dst, `],"duration_ms":`...), ms, 'f', -1, 64)
	return append(dst, '}')
}

// appendOwnerless appends the reasons that were met with their counts.
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

// appendGap appends a gap; a count or a hint that nobody knows is left out.
func appendGap(dst []byte, g *whose.Gap) []byte {
	dst = appendJSONString(append(dst, `{"kind":`...), string(g.Kind))
	if g.Count > 0 {
		dst = appendCount(dst, `,"count":`, g.Count)
	}
	dst = appendJSONString(append(dst, `,"why":`...), g.Why)
	if g.Hint != "" {
		dst = appendJSONString(append(dst, `,"hint":`...), g.Hint)
	}
	return append(dst, '}')
}

func appendCount(dst []byte, key string, n int) []byte {
	return strconv.AppendInt(append(dst, key...), int64(n), 10)
}
