#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, for the given time.
set -euo pipefail
time=${1:-20s}
found=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Until Go 1.27 (go.dev/issue/75804) the go command may call the end of its own -fuzztime a failure ("context deadline
# exceeded"), if it comes while an input is being handed out. It has then found nothing: a
# failure of a target names the input that it has written.
ran_out() { grep -qx ' *context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"; }

for pkg in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
		found=$((found + 1))
		echo "== $pkg $target ($time)"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1x "$pkg" 2>&1 | tee "$log" || ran_out
	done
done
echo "$found fuzz targets ran"
[ "$found" -gt 0 ]
