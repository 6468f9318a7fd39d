#!/usr/bin/env bash
# Looks at the page of `hostfit report -o html` in headless Chromium, with 40 and with 2,000 workloads: nothing of the network, no
# script, size, time to open, keyboard, WCAG AA (axe), phone, night, paper. Screenshots stay in target/browser.
# Without Chromium or Node.js it says so, and passes; .ci/run installs the browser.
set -euo pipefail
cd "$(dirname "$0")/../.."

tests/cluster/require.sh browser 2>/dev/null || {
  echo "test: the page of reports was NOT looked at in a browser: tests/cluster/require.sh browser tells what is missing."
  exit 0
}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/hostfit/browser-$(sha256sum tests/browser/package-lock.json | cut -c 1-16)
if [ ! -e "$cache/done" ]; then
  mkdir -p "$cache"
  cp tests/browser/package.json tests/browser/package-lock.json "$cache"
  (cd "$cache" && npm ci --ignore-scripts --no-audit --no-fund >&2)
  touch "$cache/done"
fi
cp tests/browser/check.mjs "$cache"

shots=target/browser
rm -rf "$shots"
mkdir -p "$shots/pages"
HOSTFIT_PAGES=$PWD/$shots/pages cargo test --locked -q -p hostfit-cli --lib render::tests::a_page_has_all_of_it >/dev/null
node "$cache/check.mjs" "$PWD/$shots/pages" "$PWD/$shots"
