#!/usr/bin/env bash
# docs/page/chaos.png: the page while 15 actors count the standard library, one stands still, and others are killed and come back. It needs what
# scripts/browser.sh installs.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(mktemp -d)
at=pictures-$$
trap 'kill "${all[@]}" 2>/dev/null || true; wait; rm -rf "$bin"' EXIT
go build -o "$bin/host" ./cmd/host
all=()
"$bin/host" serve -c page/testdata/chaos.yaml --at "$at" --ui 2>"$bin/log" &
all+=($!)
for census in north south east; do "$bin/host" wait "$census" --at "$at" --timeout 5m >/dev/null; done
for census in north south east; do
	while "$bin/host" open "$census" count "{\"root\": \"$(go env GOROOT)/src\"}" --at "$at" >/dev/null 2>&1 </dev/null || sleep 0.2; do :; done &
	all+=($!)
done
link=$(sed -n 's/^page: //p' "$bin/log")
CHROMIUM=$(command -v chromium) NODE_PATH=$PWD/bin/browser/node_modules node page/testdata/picture.mjs "$link" docs/page/chaos.png &
picture=$!
pid() { "$bin/host" ps "$1" --at "$at" -o json | sed -n 's/.*"pid": \([0-9]*\).*/\1/p' | head -1; }
sleep 2
kill -STOP "$(pid east/parser#2)"
while kill -0 "$picture" 2>/dev/null; do
	for victim in "north/parser#$((RANDOM % 2 + 2))" "south/parser#$((RANDOM % 2 + 2))"; do
		p=$(pid "$victim") && [ -n "$p" ] && [ "$p" != 0 ] && kill -KILL "$p" 2>/dev/null || true # it may be between two processes
	done
	sleep 1
done
wait "$picture"
echo docs/page/chaos.png
