#!/usr/bin/env bash
# Brings up the local cluster. Usage: up.sh [STATE_DIR]   (default: .cluster in the checkout)
# Then: . STATE_DIR/env; $IN_NS kubectl get nodes
# Exit codes: 2 something is missing, 3 needs root, 4 a cluster is up already, 1 a component failed.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd -P)
. "$HERE/names.sh"
. "$HERE/parts/processes.sh"
. "$HERE/parts/network.sh"
. "$HERE/parts/certificates.sh"
. "$HERE/parts/registries.sh"
. "$HERE/parts/control-plane.sh"
. "$HERE/parts/node.sh"
. "$HERE/parts/fake-nodes.sh"

STATE=$(realpath -m "${1:-$DEFAULT_STATE}")
COMPONENT=preparation
MARKER=$STATE/.hostfit-cluster

# One cluster per machine: another one that lives is left alone, a dead one is cleaned up.
refuse_or_clean_up() {
  local other
  [ -e "$NETNS_FILE" ] || [ -e "$MARKER" ] || return 0
  other=$(cat "$RECORD" 2>/dev/null || printf '%s' "$STATE")
  if [ -e "$NETNS_FILE" ] && [ -n "$(ip netns pids "$NETNS")" ]; then
    die 4 "$(printf 'a cluster is up already: use it (. %q) or remove it (tests/cluster/down.sh %q)' "$other/env" "$other")"
  fi
  say "removing what a dead cluster left behind"
  "$HERE/down.sh" "$other"
}

# A failed start shows why, and leaves nothing behind.
on_exit() {
  local code=$?
  [ "$code" -eq 0 ] && return
  trap - EXIT INT TERM
  case $code in
    130 | 143) say "interrupted at: $COMPONENT" ;;
    *) say "failed at: $COMPONENT" ;;
  esac
  if [ "$code" -lt 128 ] && [ -s "$STATE/logs/$COMPONENT.log" ]; then
    say "the last lines of its log:"
    tail -n 15 "$STATE/logs/$COMPONENT.log" | cut -c1-400 | sed 's/^/  | /' >&2
  fi
  say "taking down what was started"
  "$HERE/down.sh" "$STATE" || true
  exit "$code"
}

push_pause_image() {
  component pause-image
  CLUSTER_STATE=$STATE "$HERE/push.sh" "$TOOLS/../pause" pause:1 --entrypoint /pause >"$STATE/logs/pause-image.log" 2>&1
}

write_environment() {
  cat >"$STATE/env" <<EOF
# The local cluster, for shells and scripts: . this file, then \$IN_NS kubectl …
export CLUSTER_STATE=$(printf %q "$STATE")
export KUBECONFIG=$(printf %q "$STATE/admin.kubeconfig")
export PATH=$(printf %q "$TOOLS"):\$PATH
export REGISTRY=$REGISTRY
export PRIVATE_REGISTRY=$PRIVATE_REGISTRY
export PRIVATE_REGISTRY_USER=$PRIVATE_REGISTRY_USER
export PRIVATE_REGISTRY_PASSWORD=$PRIVATE_REGISTRY_PASSWORD
# The cluster's addresses exist only in its own network namespace.
export IN_NS="nsenter --net=$NETNS_FILE"
EOF
}

lap() { printf 'cluster: %5d ms  %s\n' "$((($(date +%s%N) - BEGIN) / 1000000))" "$*" >&2; }

"$HERE/require.sh"
# A Unix socket's path ends at 107 bytes, and the longest name below the state takes 37 of them.
[ ${#STATE} -le 70 ] || die 1 "the state folder's path is too long for sockets (${#STATE} > 70 characters): name a shorter one, up.sh STATE_DIR"
refuse_or_clean_up
[ ! -S "$DEVICE_PLUGINS/kubelet.sock" ] || die 1 "this machine runs a kubelet of its own ($DEVICE_PLUGINS/kubelet.sock), and there cannot be two"
[ ! -d "$STATE" ] || [ -z "$(ls -A "$STATE")" ] || die 1 "$STATE is not empty and not a cluster's: name another folder"
TOOLS=$("$HERE/tools.sh" path)

BEGIN=$(date +%s%N)
mkdir -p "$STATE/logs" "$STATE/processes" "$STATE/images"
STATE=$(realpath "$STATE")
: >"$MARKER"
trap on_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

make_network
printf '%s\n' "$STATE" >"$RECORD"
make_cgroup
make_certificates
write_environment
start_registries
start_api_server
wait_for_registries
push_pause_image
wait_for_api_server
lap "API server ready"
start_controllers
start_kwok
start_node
wait_for_controllers
wait_for_node
wait_for_kwok
lap "node ready. To use it: . $(printf %q "$STATE/env"); \$IN_NS kubectl get nodes"
