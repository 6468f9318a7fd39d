#!/usr/bin/env bash
# Takes the local cluster down and removes its state. Usage: down.sh [STATE_DIR]
# Ends only what up.sh started, by id: the recorded components, what runs in the cluster's network
# namespace, and what runs in its cgroup. Doing it twice is no error.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd -P)
. "$HERE/names.sh"
. "$HERE/parts/processes.sh"
. "$HERE/parts/network.sh"

STATE=$(realpath -m "${1:-${CLUSTER_STATE:-$DEFAULT_STATE}}")

namespace_processes() { ip netns pids "$NETNS" 2>/dev/null || true; }

# end SIGNAL  ends the processes whose ids come in.
end() {
  local ids
  mapfile -t ids
  [ ${#ids[@]} -eq 0 ] || kill -s "$1" -- "${ids[@]}" 2>/dev/null || true
}

end_components() { # NAME…
  local name
  for name in "$@"; do
    running "$name" || true
  done | end KILL
}

# until_none SECONDS LISTING-FUNCTION
until_none() {
  local deadline=$((SECONDS + $1))
  while [ -n "$($2)" ] && [ "$SECONDS" -le "$deadline" ]; do sleep 0.05; done
}

shims() {
  local id
  for id in $(namespace_processes); do
    case $(cat "/proc/$id/comm" 2>/dev/null) in containerd-shim*) echo "$id" ;; esac
  done
}

end_processes() {
  local name
  # First who would start things anew, then the pods; containerd then ends their shims, which
  # takes their sockets and mounts along.
  end_components kubelet kube-proxy controller-manager scheduler kwok apiserver
  pod_processes | end KILL
  until_none 3 pod_processes
  until_none 1 shims
  for name in "$STATE"/processes/*; do
    [ ! -f "$name" ] || end_components "${name##*/}"
  done
  namespace_processes | end KILL
  pod_processes | end KILL
  until_none 3 namespace_processes
}

# The pods' own namespaces are named in the plugins' results, under our network's name.
remove_pod_networks() {
  local result netns container
  for result in /var/lib/cni/results/"$CNI_NETWORK"-*; do
    [ -f "$result" ] || continue
    while read -r netns; do
      case $netns in
        */netns/cni-*) [ ! -e "$netns" ] || ip netns delete "${netns##*/}" || true ;;
      esac
    done < <(jq -r '.result.interfaces[]?.sandbox // empty' "$result" | sort -u)
    rm -f "$result"
    # Beside it lies the loopback's result, whose name only tells the container.
    container=${result##*/"$CNI_NETWORK"-}
    rm -f "/var/lib/cni/results/cni-loopback-${container%-*}-lo"
  done
  rmdir /var/lib/cni/results /var/lib/cni/cache /var/lib/cni 2>/dev/null || true
}

# Shims and runc keep these outside containerd's state, and leave them when they are killed.
remove_container_traces() {
  local bundle address
  for bundle in "$STATE"/containerd/state/io.containerd.runtime.v2.task/k8s.io/*/; do
    [ -d "$bundle" ] || continue
    address=$(cat "$bundle/address" 2>/dev/null || true)
    case $address in unix:///run/containerd/s/*) rm -f "${address#unix://}" ;; esac
    rm -rf "/run/containerd/runc/k8s.io/$(basename "$bundle")"
  done
  rmdir /run/containerd/{runc/k8s.io,runc,s} /run/containerd 2>/dev/null || true
}

unmount_state() {
  local target
  cut -d ' ' -f 2 /proc/mounts | sort -r | while read -r target; do
    target=$(printf '%b' "$target") # a space stands there as \040
    case $target in "$STATE"/*) umount -l "$target" || true ;; esac
  done
}

# The kubelet uses these two folders whatever its settings say.
remove_kubelet_traces() {
  local link
  # up.sh refuses to start beside another kubelet, so this is ours.
  if [ -f "$STATE/processes/kubelet" ]; then
    rm -rf "$DEVICE_PLUGINS"
    rmdir "${DEVICE_PLUGINS%/*}" 2>/dev/null || true
  fi
  for link in /var/log/containers/*.log; do
    case $(readlink "$link" 2>/dev/null) in "$STATE"/*) rm -f "$link" ;; esac
  done
  rmdir /var/log/containers 2>/dev/null || true
}

[ "$(id -u)" = 0 ] || die 3 "taking the cluster down needs root, as starting it did"
if [ -f "$RECORD" ] && [ "$(cat "$RECORD")" != "$STATE" ]; then
  die 4 "$(printf 'the cluster of this machine keeps its state elsewhere: tests/cluster/down.sh %q' "$(cat "$RECORD")")"
fi
end_processes
remove_pod_networks
remove_container_traces
unmount_state
[ ! -e "$NETNS_FILE" ] || ip netns delete "$NETNS"
remove_cgroup
remove_kubelet_traces
# Never a folder that up.sh did not make.
if [ -f "$STATE/.hostfit-cluster" ]; then
  rm -rf --one-file-system "$STATE"
fi
rm -f "$RECORD"
