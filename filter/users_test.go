package filter

import (
	"fmt"
	"testing"

	"github.com/seed-44df2ae6/whose"
)

func TestUsers(t *testing.T) {
	for text, want := range map[string]string{
		"tcp": "[]", "user alice": "[alice]", "not user alice or user root,alice": "[alice root]", "user 1000": "[]",
		"user 'al*'": "[]", "user ~ ^al": "[]", "owner_user bob and user != alice": "[bob alice]", "alice": "[]",
	} {
		e, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(Users(e)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestCompile_Users wants a user to be met by any of his names.
func TestCompile_Users(t *testing.T) {
	env := Env{Users: map[string]uint32{"alice@corp": 61184, "toor": 0}}
	owner := whose.Owner{Process: &whose.Process{PID: 1, UID: 61184, User: "alice"}}
	alice := whose.Session{UID: 61184, User: "alice", Owners: []whose.Owner{owner}}
	root := whose.Session{UID: 0, User: "root"}
	nobody := whose.Session{Unknown: whose.FactUID, Owners: []whose.Owner{{Process: &whose.Process{PID: 2}}}}
	for text, want := range map[string]string{
		"user alice@corp": "true false false", "user alice": "true false false", "user != alice@corp": "false true true",
		"user toor": "false true false", "user bob": "false false false", "owner_user alice@corp": "true false false",
		"owner_user toor": "false false false", "user 'toor*'": "false false false", "owner_user 61184": "true false false",
	} {
		e, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		m := Compile(e, env)
		if got := fmt.Sprint(m.Match(&alice), m.Match(&root), m.Match(&nobody)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
