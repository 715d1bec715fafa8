//go:build lab

package machines_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sums are what two counts of the same files have in common, whoever has parsed them.
type sums struct{ Files, Failed, Lines, Bytes, Functions, Methods int }

// The census counts right with its parsers on two other machines, of which one is killed with all that runs
// there while it counts.
func TestM20_CensusOverMachines(t *testing.T) {
	source, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	w := newFleet(t, "b", "c")
	t.Cleanup(w.end)
	actors := func(on string) string {
		return fmt.Sprintf(`
run: {actor: census, endpoint: count, args: {root: "${GOROOT}/src"}}
supervision: {max_restarts: 100}
actors:
  - {name: parser, package: %[1]q, replicas: 2, restart: permanent%[3]s}
  - name: census
    package: %[2]q
    depends_on: {parser: started}
    actors:
      - {name: walker, package: %[4]q}
`, source+"/plugins/parser", source+"/plugins/census", on, source+"/plugins/walker")
	}
	w.write("here.yaml", actors(""))
	w.write("tree.yaml", fmt.Sprintf("fleet: {credentials: %q, listen: %q, lease: 3s}\n", w.path("a"), w.Address("a")+":7077")+actors(", on: {labels: {kind: worker}}"))
	for _, machine := range []string{"b", "c"} {
		w.startAgent(machine)
	}
	w.start("a", "run", "-c", w.path("tree.yaml"), "-o", "json")
	root := w.procs["a"]
	w.until("the census counts", func() bool { return strings.Contains(root.errors.String(), "files seen") })
	begun := time.Now()
	for _, pid := range w.Processes("b") {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended since
	}
	select {
	case <-root.ended:
	case <-time.After(enough):
		t.Fatalf("the census does not end\n%s", w.outputs())
	}
	took := time.Since(begun)
	if code := root.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("the census has ended with %d\n%s", code, w.outputs())
	}
	here, err := exec.Command(w.binary, "run", "-c", w.path("here.yaml"), "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := sumsIn(t, root.output.String()), sumsIn(t, string(here)); got != want || want.Files == 0 {
		t.Errorf("the count is %+v, on one machine %+v", got, want)
	}
	t.Logf("the machine was killed while the census counted, which ended %v later, with the right sums: %s", took.Round(time.Millisecond), root.output.String())
}

func sumsIn(t *testing.T, text string) (s sums) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return s
}
