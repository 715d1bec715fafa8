//go:build lab

package bench

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// Everything is measured once, with every subject, by real processes.
func TestEveryWorkloadMeasuresEverySubject(t *testing.T) {
	r, err := Run(t.Context(), Options{Quick: true, Source: "../../.."})
	if err != nil {
		t.Fatal(err)
	}
	checkRows(t, r)
	if left := childrenLeft(t); left != "" {
		t.Errorf("processes are left:\n%s", left)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseReport(text)
	if err != nil {
		t.Fatal(err)
	}
	var table, page strings.Builder
	if err := errors.Join(again.WriteTable(&table), again.WriteMarkdown(&page)); err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		if !strings.Contains(table.String(), row.Name) || !strings.Contains(page.String(), "| "+row.Name+" |") {
			t.Errorf("the tables have no row %q", row.Name)
		}
	}
}

func checkRows(t *testing.T, r *Report) {
	t.Helper()
	rows := map[string]Row{}
	for _, row := range r.Rows {
		rows[row.Name] = row
	}
	goals := 0
	for _, w := range workloads(sizesOf(true)) {
		for _, m := range w.metrics {
			row, ok := rows[m.name]
			if !ok {
				if runtime.GOOS == "linux" {
					t.Errorf("%s was not measured: %v", m.name, r.Skipped)
				}
				continue
			}
			goals += len(row.Goals)
			for _, subject := range w.subjects {
				result := row.Result(subject)
				if subject != m.except && len(result.Rounds) != 1 {
					t.Errorf("%s: %s has %d rounds, want 1", m.name, subject, len(result.Rounds))
				}
				if takesTime(m.unit, w.group) && subject != m.except && result.Median <= 0 {
					t.Errorf("%s: %s has %v", m.name, subject, result.Median)
				}
			}
		}
	}
	if goals != 30 {
		t.Errorf("%d goals stand in the table, want the 30 of the design", goals)
	}
}

// takesTime reports whether a number cannot be 0. What idle processes have may be, and what it costs to look at them for a moment.
func takesTime(u Unit, group string) bool {
	return group != "idle children" && group != viewers && (u == Nanoseconds || u == PerSecond || u == BytesPerSecond)
}

func childrenLeft(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("pgrep", "-P", strconv.Itoa(os.Getpid())).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) { // 1: it has found none
		t.Fatal(err)
	}
	return string(out)
}

// An interrupted run ends its plugins, and returns why.
func TestAnInterruptedRunLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("Ctrl-C")
	_, err := Run(ctx, Options{Quick: true, Rounds: 1000, Step: func(what string) {
		if strings.HasPrefix(what, "round 2 ") && strings.Contains(what, "stream") {
			cancel(stop)
		}
	}})
	if !errors.Is(err, stop) {
		t.Errorf("got %v, want %v", err, stop)
	}
	if left := childrenLeft(t); left != "" {
		t.Errorf("processes are left:\n%s", left)
	}
}
