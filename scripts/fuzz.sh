#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, for the given time. A package is
# built once for all of its targets.
set -euo pipefail
time=${1:-20s}
cache=$(go env GOCACHE)/fuzz # where the go command keeps what it has found as well
found=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
log=$scratch/log program=$scratch/fuzz.test

# Until Go 1.27 (go.dev/issue/75804) a test program may call the end of its own -fuzztime a failure ("context deadline
# exceeded"), if it comes while an input is being handed out. It has then found nothing: a
# failure of a target names the input that it has written.
ran_out() { grep -qx ' *context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"; }

for dir in $(grep -rl --include='*_test.go' --exclude-dir=testdata '^func Fuzz' . | xargs -n 1 dirname | sort -u); do
	pkg=$(go list "$dir")
	go test -c -fuzz . -o "$program" "$dir"
	for target in $("$program" -test.list '^Fuzz'); do
		found=$((found + 1))
		echo "== $pkg $target ($time)"
		(cd "$dir" && "$program" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$time" -test.fuzzminimizetime 1x \
			-test.fuzzcachedir "$cache/$pkg") 2>&1 | tee "$log" || ran_out
	done
done
echo "$found fuzz targets ran"
[ "$found" -gt 0 ]
