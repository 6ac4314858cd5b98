package tally

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-44df2ae6/whose/internal/testenv"
)

// TestMetricTable_Documented wants a row of docs/agent.md for each metric, and no other.
func TestMetricTable_Documented(t *testing.T) {
	page, err := os.ReadFile("../../docs/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := MetricTable()
	for _, m := range rows {
		want := fmt.Sprintf("| `%s` | %s | %s | %s |\n", m.Name, m.Kind, strings.Join(m.Labels, ", "), m.Help)
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/agent.md lacks %s", want)
		}
	}
	if n := strings.Count(string(page), " | counter | ") + strings.Count(string(page), " | gauge | ") + strings.Count(string(page), " | histogram | "); n != len(rows) {
		t.Errorf("docs/agent.md has %d metrics, there are %d", n, len(rows))
	}
}

// TestPrometheusRules checks and tries the rules for alerts.
func TestPrometheusRules(t *testing.T) {
	promtool := testenv.NeedProgram(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "whose.rules.yml"}, {"test", "rules", "whose.rules.test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = filepath.Join("..", "..", "integrations", "prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v: %s", args, err, out)
		}
	}
}
