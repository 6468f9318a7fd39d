#!/usr/bin/env bash
# Measures Hostfit beside floors, in one run on this machine, and prints a table. Numbers are no test: a missed goal
# is said, and the exit code stays 0.
#   bench.sh            everything that can be had here
#   bench.sh process    only what needs no cluster
#   bench.sh layers     only reading layers
#   bench.sh cluster    only what needs one
#   BENCH_WAIT=SECONDS  how long to wait for another local cluster on this machine to end (default: not at all)
set -euo pipefail
cd "$(dirname "$0")/../.."

. tests/e2e/cluster.sh
TARGET=x86_64-unknown-linux-musl
# The webhook refuses registries on loopback, so the fake one gets an address that is private.
ADDRESS=10.99.0.1
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
# The image's program, by the webhook's name.
WEBHOOK=$SCRATCH/hostfit-webhook
ln -s "$PWD/target/$TARGET/dist/hostfit-image" "$WEBHOOK"

left_out() { printf 'left out: %s\n' "$*"; }

build() {
  echo "building with the dist profile …" >&2
  BENCH=$(make bench-binaries 2>"$SCRATCH/build" | sed -n 's/.*"executable":"\([^"]*hostfit_bench[^"]*\)".*/\1/p')
  [ -x "$BENCH" ] || { tail -n 30 "$SCRATCH/build" >&2; exit 1; }
  export BENCH
}

# alone COMMAND…  in a network namespace of its own, where nothing else listens and nothing is renamed; before whatever
# else runs here, if we may.
alone() {
  local enter=(unshare --net)
  if [ "$(id -u)" = 0 ]; then enter=(nice -n -15 "${enter[@]}"); else enter+=(--map-root-user); fi
  # shellcheck disable=SC2016 # for the inner shell
  "${enter[@]}" bash -c 'ip link set lo up && ip address add "$0/32" dev lo && exec "$@"' "$ADDRESS" "$@"
}

# How busy others keep this machine: floors suffer as we do, but the last percent of the answers suffers most.
others() {
  local before after
  before=$(head -n 1 /proc/stat)
  sleep 2
  after=$(head -n 1 /proc/stat)
  printf '%s\n%s\n' "$before" "$after" | awk -v cpus="$(nproc)" '
    {total = 0; for (i = 2; i <= 9; i++) total += $i; idle = $5 + $6}
    NR == 1 {first = total; rest = idle}
    END {printf "%d CPUs, of which others used %d %% before the start\n", cpus, 100 - 100 * (idle - rest) / (total - first)}'
}

measure_process() {
  if ! alone true 2>/dev/null; then
    left_out "admission and cold images: no network namespace can be made here (run as root, or allow user namespaces)"
    return
  fi
  alone "$BENCH" admission --webhook "$WEBHOOK" --scratch "$SCRATCH" --address "$ADDRESS"
  alone "$BENCH" cold
  "$BENCH" evaluate
  "$BENCH" plan
  "$BENCH" reports
  "$BENCH" profiles
  measure_layers
  measure_registry
}

measure_registry() {
  if command -v docker-registry >/dev/null; then
    alone "$PWD/tests/bench/with-registry.sh" "$SCRATCH" "$BENCH" cold --images 200
  else
    left_out "cold image from docker-registry: apt-get install docker-registry"
  fi
}

# What this machine has installed, as one layer: some hundred megabytes, made once.
measure_layers() {
  local layout=$SCRATCH/layout blobs=$SCRATCH/layout/blobs/sha256 layer config
  mkdir -p "$blobs"
  find /usr/bin /usr/lib -xdev -type f -size -60M 2>/dev/null | sed -n 1,3000p |
    tar -cf "$SCRATCH/layer" --no-recursion -T - 2>/dev/null
  blob() { # FILE  moves it to its digest, and prints its descriptor
    local digest size
    digest=$(sha256sum <"$1" | cut -d' ' -f1)
    size=$(stat -c %s "$1")
    mv "$1" "$blobs/$digest"
    printf '"digest": "sha256:%s", "size": %d' "$digest" "$size"
  }
  printf '{"os": "linux", "architecture": "amd64", "config": {"Entrypoint": ["/usr/bin/env"]}, "rootfs": {"type": "layers", "diff_ids": ["sha256:%s"]}}' \
    "$(sha256sum <"$SCRATCH/layer" | cut -d' ' -f1)" >"$SCRATCH/config"
  gzip -1 "$SCRATCH/layer"
  layer=$(blob "$SCRATCH/layer.gz")
  config=$(blob "$SCRATCH/config")
  printf '{"schemaVersion": 2, "config": {"mediaType": "application/vnd.oci.image.config.v1+json", %s}, "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", %s}]}' \
    "$config" "$layer" >"$SCRATCH/manifest"
  printf '{"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", %s}]}' \
    "$(blob "$SCRATCH/manifest")" >"$layout/index.json"
  printf '{"imageLayoutVersion": "1.0.0"}' >"$layout/oci-layout"
  "$BENCH" layers --layout "$layout"
}

# A namespace without processes is what a dead cluster left behind: up.sh removes it.
is_up() { [ -n "$(ip netns pids hostfit 2>/dev/null)" ]; }

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
  while is_up && [ "$SECONDS" -lt "$deadline" ]; do sleep 2; done
  if is_up; then
    left_out "everything through an API server: a local cluster is up already (make down removes it)"
    return
  fi
  build_image >&2
  start_cluster >&2
  trap 'stop_cluster || true; rm -rf "$SCRATCH"' EXIT
  tests/bench/through-api-server.sh
}

build
others
"$BENCH" header
case "${1:-}" in
  process) measure_process ;;
  layers) measure_layers ;;
  cluster) measure_cluster ;;
  *)
    measure_process
    measure_cluster
    ;;
esac
