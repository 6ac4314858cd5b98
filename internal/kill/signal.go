package kill

import (
	"fmt"
	"strconv"
	"strings"
)

// lastSignal is the highest number of a signal (SIGRTMAX).
const lastSignal = 64

// parseSignal finds a signal by its number, or by its name with or without SIG.
func parseSignal(name string, number func(string) int) (int, error) {
	if n, err := strconv.Atoi(name); err == nil {
		if n < 1 || n > lastSignal {
			return 0, fmt.Errorf("want a signal from 1 to %d, got %d", lastSignal, n)
		}
		return n, nil
	}
	upper := strings.ToUpper(name)
	if !strings.HasPrefix(upper, "SIG") {
		upper = "SIG" + upper
	}
	n := number(upper)
	if n == 0 {
		return 0, fmt.Errorf("want a signal such as TERM, HUP, KILL or 15, got %q", name)
	}
	return n, nil
}
