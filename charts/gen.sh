#!/usr/bin/env bash
# Makes README.md and values.schema.json of the chart from its values.yaml.
#   gen.sh            write them
#   gen.sh --check    fail if they are not what values.yaml says
# The tools are pinned in tools/ and built once per machine into ${XDG_CACHE_HOME:-~/.cache}/hostfit/chart-tools-KEY:
# KEY changes with them. Old folders may be deleted.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd -P)
CHART=$HERE/hostfit
GENERATED=(README.md values.schema.json)

# Whatever the caller's settings are, the pinned modules decide and stay as they are.
export GOFLAGS="-mod=readonly -buildvcs=false" GOWORK=off CGO_ENABLED=0

say() { printf 'charts: %s\n' "$*" >&2; }

case ${1:-} in
  "" | --check) ;;
  *) say "usage: gen.sh [--check]"; exit 64 ;;
esac
command -v go >/dev/null || { say "Go is missing: the generators of the chart's README and schema are Go programs"; exit 2; }

# build PACKAGE BINARY
build() {
  say "building $2 …"
  # A half-written binary must never be used: a rename is all or nothing.
  (cd "$HERE/tools" && go build -trimpath -ldflags "-s -w" -o "$CACHE/$2.$$" "$1")
  mv "$CACHE/$2.$$" "$CACHE/$2"
}

KEY=$(cd "$HERE/tools" && { cat -- go.mod go.sum schema/*.go; go version; } | sha256sum | cut -c1-12)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/hostfit/chart-tools-$KEY
mkdir -p "$CACHE"
[ -x "$CACHE/schema" ] || build ./schema schema
[ -x "$CACHE/helm-docs" ] || build github.com/norwoodj/helm-docs/cmd/helm-docs helm-docs

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
cp "$CHART"/{Chart.yaml,values.yaml,README.md.gotmpl} "$WORK"
"$CACHE/schema" <"$CHART/values.yaml" >"$WORK/values.schema.json"
"$CACHE/helm-docs" --chart-search-root "$WORK" --sort-values-order file --log-level warning

stale=0
for file in "${GENERATED[@]}"; do
  if [ "${1:-}" != --check ]; then
    cmp -s "$WORK/$file" "$CHART/$file" || cp "$WORK/$file" "$CHART/$file"
  elif ! diff -u --label "$file" --label "$file (from values.yaml)" "$CHART/$file" "$WORK/$file"; then
    stale=1
  fi
done
[ "$stale" = 0 ] || { say "the files above are not what charts/hostfit/values.yaml says: run make gen"; exit 1; }
