#!/usr/bin/env bash
# The end-to-end tests: a few rules on real kernels, the story, and what only a real cluster can show. Without root it says
# so, and passes.
set -euo pipefail
cd "$(dirname "$0")/../.."

. tests/e2e/cluster.sh
if [ "$(id -u)" != 0 ]; then
  echo "test: all passed but the end-to-end tests, which were NOT run: the local cluster needs root."
  exit 0
fi
echo "== tests/lab/run.sh fast"
tests/lab/run.sh fast
if ! is_local; then
  echo "test: the end-to-end tests delete CRDs and whatever else they like, so they run in the local cluster only: unset CLUSTER" >&2
  exit 2
fi
require_cluster
build_image
start_cluster
trap stop_cluster EXIT
shopt -s nullglob
for part in tests/e2e/story.sh tests/e2e/cases/*.sh; do
  echo "== $part"
  "$part"
done
echo "test: all passed, the end-to-end tests too."
