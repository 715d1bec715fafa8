#!/usr/bin/env bash
# Runs the tests beside busy loops: a slow machine must not fail one.
#
#   scripts/stress.sh ROUNDS LOOPS [PACKAGES…]
set -euo pipefail
rounds=$1 loops=$2
shift 2
[ $# -gt 0 ] || set -- ./...

busy=()
calm() { [ ${#busy[@]} -eq 0 ] || kill "${busy[@]}" 2>/dev/null || true; }
trap calm EXIT

go test -run '^$' "$@" >/dev/null # builds before the machine is busy
for _ in $(seq "$loops"); do
	sh -c 'while :; do :; done' &
	busy+=($!)
done
# All packages at once: they disturb each other, too, and a round takes minutes and not an hour.
for round in $(seq "$rounds"); do
	begun=$SECONDS
	go test -count=1 -timeout 60m -p 16 "$@"
	echo "round $round of $rounds beside $loops busy loops: $((SECONDS - begun)) s"
done
