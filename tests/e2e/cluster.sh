# shellcheck shell=bash
# Where the story plays: the local cluster, or the user's own. Sourced by demo.sh and test.sh.

STATE=$PWD/.cluster
. tests/e2e/own-cluster.sh

is_local() { [ "${CLUSTER:-local}" != current ]; }

# Says at the start what is missing, and how to get it.
require_cluster() {
  if is_local; then tests/cluster/require.sh; else require_own_cluster; fi
}

build_image() {
  local log code=0
  log=$(mktemp)
  echo "building the image (minutes the first time) …"
  { make image && cargo build -q --locked -p hostfit-cli; } >"$log" 2>&1 || code=$?
  if [ "$code" = 0 ]; then echo "image: $(grep -m 1 '^sha256:' "$log")"; else tail -n 30 "$log" >&2; fi
  rm -f "$log"
  [ "$code" = 0 ] || exit "$code"
}

start_cluster() {
  if ! is_local; then
    start_own_cluster
    return
  fi
  # All that it says: the first time it builds tools for ten minutes, and if it fails the reason stands before the end.
  tests/cluster/up.sh "$STATE" 2>&1 | sed -u 's/ To use it.*//'
  # shellcheck disable=SC1091
  . "$STATE/env"
}

stop_cluster() {
  local code=$?
  if ! is_local; then
    leave_own_cluster
  elif [ -n "${KEEP:-}" ]; then
    echo "kept: . $STATE/env; \$IN_NS kubectl get compat -A     (make down removes it)"
  else
    tests/cluster/down.sh "$STATE" 2>/dev/null || true
  fi
  return "$code"
}
