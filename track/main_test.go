package track_test

import (
	"testing"

	"github.com/seed-44df2ae6/whose/collect/collecttest"
)

func TestMain(m *testing.M) { collecttest.Main(m) }
