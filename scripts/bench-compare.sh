#!/usr/bin/env bash
# Runs the Go benchmarks of two commits in turn, and compares them with benchstat.
# BASE is compared with the working tree, or with HEAD's commit if that is given.
#
#   scripts/bench-compare.sh BASE [HEAD]
#
# BENCH: which benchmarks (a regular expression; all but the census), PKG: of which
# packages (those that have some), COUNT: rounds (6).
set -euo pipefail
[ $# -ge 1 ] || { echo "expected a commit to compare with, as in: make bench-compare BASE=main" >&2; exit 2; }
cd "$(dirname "$0")/.."
here=$PWD
bench=${BENCH:-'^Benchmark([^C]|C[^e])'}
count=${COUNT:-6}

trees=$(mktemp -d)
cleanup() {
	for side in base head; do
		[ ! -d "$trees/$side" ] || git -C "$here" worktree remove --force "$trees/$side"
	done
	rm -rf "$trees"
}
trap cleanup EXIT

git worktree add --quiet --detach "$trees/base" "$1"
base=$trees/base head=$here
if [ $# -ge 2 ]; then
	git worktree add --quiet --detach "$trees/head" "$2"
	head=$trees/head
fi

packages_of() {
	if [ -n "${PKG:-}" ]; then
		echo "$PKG"
		return
	fi
	(cd "$1" && git grep -l '^func Benchmark' -- '*_test.go' | xargs -n 1 dirname | sort -u | sed 's|^|./|')
}

# One round of a side. A package that one of the commits does not have is left out.
measure() {
	local tree=$1 out=$2 pkg
	for pkg in $(packages_of "$head"); do
		[ -d "$tree/$pkg" ] || continue
		(cd "$tree" && go test -run '^$' -bench "$bench" -benchmem "$pkg") >>"$out"
	done
}

mkdir -p bin
: >bin/bench-base.txt
: >bin/bench-head.txt
for round in $(seq "$count"); do
	echo "round $round of $count" >&2
	measure "$base" "$here/bin/bench-base.txt"
	measure "$head" "$here/bin/bench-head.txt"
done
go tool -modfile=tools/go.mod benchstat base=bin/bench-base.txt head=bin/bench-head.txt
