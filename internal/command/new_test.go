package command

import "testing"

func TestPackageName(t *testing.T) {
	for name, want := range map[string]string{
		"greeter": "greeter", "my-parser": "myparser", "a_b": "ab", "7zip": "p7zip", "go": "goapi", "string": "stringapi", "sdk": "sdkapi", "main": "mainapi", "1-": "p1",
	} {
		if got := packageName(name); got != want {
			t.Errorf("%s is called %s, want %s", name, got, want)
		}
	}
}
