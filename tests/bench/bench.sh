#!/usr/bin/env bash
# Measures Hostfit beside floors, in one run on this machine, and prints a table. Numbers are no test: a missed goal
# is said, and the exit code stays 0.
#   bench.sh            everything that can be had here
#   bench.sh process    only what needs no cluster
#   BENCH_WAIT=SECONDS  how long to wait for another local cluster on this machine to end (default: not at all)
set -euo pipefail
cd "$(dirname "$0")/../.."

. tests/e2e/cluster.sh
TARGET=x86_64-unknown-linux-musl
WEBHOOK=target/$TARGET/dist/hostfit-webhook
# The webhook refuses registries on loopback, so the fake one gets an address that is private.
ADDRESS=10.99.0.1
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT

left_out() { printf 'left out: %s\n' "$*"; }

build() {
  echo "building with the dist profile …" >&2
  make binaries >"$SCRATCH/build" 2>&1 || { tail -n 30 "$SCRATCH/build" >&2; exit 1; }
  BENCH=$(cargo build --locked --profile dist --target "$TARGET" -p hostfit-tests --bench hostfit-bench \
    --message-format json-render-diagnostics 2>"$SCRATCH/build" | sed -n 's/.*"executable":"\([^"]*hostfit_bench[^"]*\)".*/\1/p')
  [ -x "$BENCH" ] || { tail -n 30 "$SCRATCH/build" >&2; exit 1; }
  export BENCH
}

# alone COMMAND…  in a network namespace of its own, where nothing else listens and nothing is renamed.
alone() {
  # shellcheck disable=SC2016 # for the inner shell
  unshare --map-root-user --net bash -c 'ip link set lo up && ip address add "$0/32" dev lo && exec "$@"' "$ADDRESS" "$@"
}

measure_process() {
  if ! alone true 2>/dev/null; then
    left_out "admission and cold images: no network namespace can be made here (run as root, or allow user namespaces)"
    return
  fi
  alone "$BENCH" admission --webhook "$WEBHOOK" --scratch "$SCRATCH" --address "$ADDRESS"
  alone "$BENCH" cold
  if command -v docker-registry >/dev/null; then
    alone "$PWD/tests/bench/with-registry.sh" "$SCRATCH" "$BENCH" cold --images 200
  else
    left_out "cold image from docker-registry: apt-get install docker-registry"
  fi
}

measure_cluster() {
  local deadline=$((SECONDS + ${BENCH_WAIT:-0})) log=$SCRATCH/cluster
  if [ "$(id -u)" != 0 ]; then
    left_out "everything through an API server: the local cluster needs root"
    return
  fi
  if ! (require_cluster) >"$log" 2>&1; then
    left_out "everything through an API server: the local cluster cannot start (tests/cluster/require.sh says why)"
    return
  fi
  while [ -e /run/netns/hostfit ] && [ "$SECONDS" -lt "$deadline" ]; do sleep 2; done
  if [ -e /run/netns/hostfit ]; then
    left_out "everything through an API server: a local cluster is up already (make down removes it)"
    return
  fi
  build_image >&2
  start_cluster >&2
  trap stop_cluster EXIT
  tests/bench/through-api-server.sh
}

build
{
  measure_process
  [ "${1:-}" = process ] || measure_cluster
} | tests/bench/table.sh
