#!/usr/bin/env bash
# The page in a browser: go test -tags browser ./page. What is missing is installed, as root with apt: chromium, node, npm; and
# playwright-core into bin/browser.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
if [ ${#missing[@]} -gt 0 ]; then
	apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
mkdir -p bin/browser
[ -d bin/browser/node_modules/playwright-core ] || npm --prefix bin/browser install --silent playwright-core@1 >/dev/null
CHROMIUM=$(command -v chromium) NODE_PATH=$PWD/bin/browser/node_modules go test -count=1 -tags browser -timeout 10m -run InABrowser -v ./page
