//go:build foreign

package foreign_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
)

// hostVar names the program that this test binary hosts, instead of testing.
const hostVar = "FOREIGN_TEST_HOSTS"

// programs is the directory with the programs, which are built once.
var programs string

// The programs, by their Go packages. What they are is in testdata/foreign/go.mod.
var packages = []string{
	"github.com/hashicorp/go-plugin/examples/bidirectional/plugin-go-grpc",
	"github.com/hashicorp/go-plugin/examples/negotiated/plugin-go",
	"github.com/hashicorp/terraform-provider-time",
	"github.com/terraform-linters/tflint/plugin/stub-generator/sources/foo",
}

func TestMain(m *testing.M) {
	if name := os.Getenv(hostVar); name != "" {
		programs = filepath.Dir(name)
		actAsHost(filepath.Base(name))
		return
	}
	os.Exit(testAll(m))
}

func testAll(m *testing.M) int {
	dir, err := build()
	if err != nil {
		fmt.Fprintln(os.Stderr, "the programs of others do not build:", err)
		return 1
	}
	programs = dir
	code := m.Run()
	err = os.RemoveAll(dir)
	// The forker keeps its thread for as long as the program runs.
	err = errors.Join(err, goleak.Find(goleak.IgnoreTopFunction("github.com/seed-2ba35074/trellis/internal/process.forkLoop")))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// build builds the programs from their modules.
func build() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "trellis-foreign-"); err != nil {
		return "", err
	}
	cmd := exec.Command("go", append([]string{"build", "-o", dir + "/"}, packages...)...)
	cmd.Dir = filepath.Join("..", "..", "testdata", "foreign")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", errors.Join(err, os.RemoveAll(dir)), out)
	}
	return dir, nil
}

// spec is how each program wants to be started: by its own documents, as any
// go-plugin host would.
func spec(name, dir string) host.Spec {
	patient := config.Duration(10 * time.Minute) // no machine is that slow, and no bound is what a test here trips over
	s := host.Spec{Name: strings.ToLower(name), Command: []string{filepath.Join(programs, name)}, Dir: dir, StartTimeout: patient, CancelTimeout: patient, Grace: patient}
	s.Health.Timeout = patient
	switch name {
	case "plugin-go-grpc":
		s.GoPlugin = &config.GoPlugin{Cookie: map[string]string{"BASIC_PLUGIN": "hello"}, Versions: []int{1}}
	case "plugin-go":
		s.GoPlugin = &config.GoPlugin{Cookie: map[string]string{"BASIC_PLUGIN": "hello"}, Versions: []int{2, 3}}
	case "terraform-provider-time":
		s.GoPlugin = &config.GoPlugin{Versions: []int{5}, Cookie: map[string]string{
			"TF_PLUGIN_MAGIC_COOKIE": "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
		}}
	case "foo":
		s.GoPlugin = &config.GoPlugin{Versions: []int{11}, Cookie: map[string]string{
			"TFLINT_RULESET_PLUGIN": "5adSn1bX8nrDfgBqiAqqEkC6OE1h3iD8SqbMc5UUONx8x3xCF0KlPDsBRNDjoYDP",
		}}
	}
	return s
}

// actAsHost says the pid of a program that it starts, and lives until it is killed.
func actAsHost(name string) {
	err := host.OpenNursery(context.Background(), host.Options{Log: slog.New(slog.DiscardHandler)}, func(ctx context.Context, n *host.Nursery) error {
		f, err := n.Start(ctx, spec(name, ""))
		if err != nil {
			return err
		}
		fmt.Println(f.ID().PID)
		<-ctx.Done()
		return nil
	})
	fmt.Println("it ended:", err)
}
