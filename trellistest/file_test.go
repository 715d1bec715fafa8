package trellistest_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// The tree that host new writes has the package of its own folder: the plugin of the test bears the folder's name.
func TestThePluginOfTheFoldersOwnPackage(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "baker")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "config.yaml")
	if err := os.WriteFile(file, []byte("actors: [{name: bread, package: .}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		h := trellistest.Host(t, trellistest.File(t, file), trellistest.Plugin{Name: "baker", Endpoints: []contract.Handler{
			price.Handle(func(context.Context, string) (int, error) { return 3, nil }),
		}})
		h.WantEvents(trellistest.Started("bread"))
		if n, err := price.Call(t.Context(), h.Portal("bread"), "loaf"); n != 3 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}
