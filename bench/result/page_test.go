package result

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/performance.md and the layout of its data")

// TestPage_Fresh compares docs/performance.md with the page that the data gives.
func TestPage_Fresh(t *testing.T) {
	want, err := Page("data")
	if err != nil {
		t.Fatal(err)
	}
	const path = "../../docs/performance.md"
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not the page of bench/result/data: run make generate", path)
	}
}

// TestData_Fresh wants each file as [Report.WriteFile] writes it.
func TestData_Fresh(t *testing.T) {
	files, err := filepath.Glob("data/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files in data, %v", len(files), err)
	}
	for _, file := range files {
		r, err := ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := r.WriteFile(file); err != nil {
				t.Fatal(err)
			}
		}
		want, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s is laid out in another way: run make generate", file)
		}
	}
}
