//go:build lab

package machines_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sums are what two counts of the same files have in common, whoever has parsed them.
type sums struct{ Files, Failed, Lines, Bytes, Functions, Methods int }

// The census counts right with its parsers on two other machines, of which one is killed with all that runs
// there while it counts.
func TestD20_CensusOverMachines(t *testing.T) {
	w := newFleet(t, "b", "c")
	t.Cleanup(w.end)
	for _, name := range []string{"census", "parser", "walker"} {
		out, err := exec.Command("go", "build", "-o", w.path(name), "github.com/seed-2ba35074/trellis/plugins/"+name).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	actors := func(on string) string {
		return fmt.Sprintf(`
run: {actor: census, endpoint: count, args: {root: "${GOROOT}/src"}}
supervision: {max_restarts: 100}
actors:
  - {name: parser, command: [%[1]q], replicas: 2, restart: permanent%[3]s}
  - name: census
    command: [%[2]q]
    depends_on: {parser: started}
    actors:
      - {name: walker, command: [%[4]q]}
`, w.path("parser"), w.path("census"), on, w.path("walker"))
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
	t.Logf("one machine was killed while the census counted, which ended %v later: %+v", took.Round(time.Millisecond), sumsIn(t, root.output.String()))
}

func sumsIn(t *testing.T, text string) (s sums) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return s
}
