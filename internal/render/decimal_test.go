package render

import (
	"fmt"
	"math"
	"strconv"
	"testing"
)

func TestAppendUint(t *testing.T) {
	numbers := []uint64{0, math.MaxUint8, math.MaxUint16, math.MaxUint32, math.MaxInt64, math.MaxUint64}
	for n := uint64(1); ; n *= 10 {
		numbers = append(numbers, n-1, n, n+1, 9*n-1, 5*n)
		if n > math.MaxUint64/10 {
			break
		}
	}
	for _, n := range numbers {
		for _, dst := range [][]byte{nil, []byte("x"), append(make([]byte, 0, 64), "text"...)} {
			if got, want := string(appendUint(dst, n)), strconv.AppendUint(dst, n, 10); got != string(want) {
				t.Errorf("%d after %q is %q", n, dst, got)
			}
		}
	}
}

func BenchmarkAppendUint(b *testing.B) {
	for _, n := range []uint64{7, 8080, 155874981, math.MaxUint64} {
		buf := make([]byte, 0, 64)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				buf = appendUint(buf[:0], n)
			}
		})
		b.Run(fmt.Sprint("strconv/", n), func(b *testing.B) {
			for b.Loop() {
				buf = strconv.AppendUint(buf[:0], n, 10)
			}
		})
	}
}
