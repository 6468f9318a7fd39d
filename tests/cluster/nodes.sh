#!/usr/bin/env bash
# Two pools of fake nodes that KWOK plays: rhel9-1..3 and amzn2-1..3.
#   nodes.sh                 make them, or put them back as they were
#   nodes.sh upgrade amzn2   let the pool's hosts run the next operating system
#   nodes.sh remove          take them away
#   nodes.sh names           print their names
# Pods get there with a toleration of the taint kwok.x-k8s.io/node=fake:NoSchedule.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd -P)
. "$HERE/names.sh"

POOLS="rhel9 amzn2"
NODES_IN_POOL=(1 2 3)
KUBELET=v1.34.4

# host POOL RELEASE  prints what the hosts of a pool report: image, kernel, container runtime.
host() {
  case $1/$2 in
    rhel9/first) echo "Red Hat Enterprise Linux 9.4 (Plow)|5.14.0-427.13.1.el9_4.x86_64|cri-o://1.29.5" ;;
    amzn2/first) echo "Amazon Linux 2|5.10.210-201.855.amzn2.x86_64|containerd://1.7.11" ;;
    amzn2/next) echo "Amazon Linux 2023.5.20240722|6.1.97-104.177.amzn2023.x86_64|containerd://1.7.11" ;;
    *) return 1 ;;
  esac
}

kubectl() {
  if is_current; then command kubectl "$@"; else in_ns "$TOOLS/kubectl" --kubeconfig "$STATE/admin.kubeconfig" "$@"; fi
}

# pool_nodes POOL  prints the pool's node names.
pool_nodes() { printf "$1-%s\n" "${NODES_IN_POOL[@]}"; }

names() {
  local pool
  for pool in $POOLS; do pool_nodes "$pool"; done
}

node_info() { # POOL RELEASE
  local image kernel runtime
  IFS='|' read -r image kernel runtime < <(host "$1" "$2")
  jq -cn --arg image "$image" --arg kernel "$kernel" --arg runtime "$runtime" --arg kubelet "$KUBELET" '
    {osImage: $image, kernelVersion: $kernel, containerRuntimeVersion: $runtime,
     kubeletVersion: $kubelet, kubeProxyVersion: $kubelet, architecture: "amd64", operatingSystem: "linux",
     bootID: "", machineID: "", systemUUID: ""}'
}

# What node-feature-discovery says of the CPUs: the pool of RHEL has old ones.
cpu_labels() { # POOL
  jq -cn --arg pool "$1" '[1, 2 | select($pool == "rhel9")] | map({key: "feature.node.kubernetes.io/cpu-cpuid.X86_64_V\(.)", value: "true"}) | from_entries'
}

node_manifest() { # POOL NAME
  jq -cn --arg pool "$1" --arg name "$2" --argjson info "$(node_info "$1" first)" --argjson cpu "$(cpu_labels "$1")" '
    {cpu: "32", memory: "256Gi", pods: "110"} as $room
    | {apiVersion: "v1", kind: "Node",
       metadata: {name: $name, annotations: {"kwok.x-k8s.io/node": "fake"},
         labels: ({pool: $pool, "kubernetes.io/hostname": $name, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"} + $cpu)},
       spec: {taints: [{key: "kwok.x-k8s.io/node", value: "fake", effect: "NoSchedule"}]},
       status: {allocatable: $room, capacity: $room, nodeInfo: $info}}'
}

# KWOK fills in only what is empty, so this stays.
set_host() { # POOL RELEASE
  local info node
  info=$(node_info "$1" "$2")
  for node in $(pool_nodes "$1"); do
    kubectl patch node "$node" --subresource=status --type=merge -p "{\"status\": {\"nodeInfo\": $info}}" >/dev/null
  done
}

make_nodes() {
  local pool node
  for pool in $POOLS; do
    for node in $(pool_nodes "$pool"); do node_manifest "$pool" "$node"; done
  done | kubectl apply -f - >/dev/null
  # `apply` reaches the status of new nodes only; those that are there may have been upgraded.
  for pool in $POOLS; do set_host "$pool" first; done
  # Without KWOK nobody makes them ready, and nothing in the story needs that.
  is_current || kubectl wait --for=condition=Ready --timeout=30s node -l "pool in (${POOLS// /,})" >/dev/null
}

if [ "${1:-}" = names ]; then
  names
  exit
fi
if ! is_current; then
  STATE=$(state_in_use)
  TOOLS=$("$HERE/tools.sh" path)
fi
case ${1:-make} in
  make) make_nodes ;;
  upgrade)
    host "${2:-}" next >/dev/null || die 64 "no upgrade is known for the pool '${2:-}' (known: amzn2)"
    set_host "$2" next
    ;;
  remove)
    # shellcheck disable=SC2046 # names of nodes hold no spaces
    kubectl delete node --ignore-not-found $(names) >/dev/null
    exit
    ;;
  *) die 64 "usage: nodes.sh [upgrade POOL | remove | names]" ;;
esac
kubectl get nodes -l pool -o 'custom-columns=NODE:.metadata.name,HOST:.status.nodeInfo.osImage,KERNEL:.status.nodeInfo.kernelVersion,RUNTIME:.status.nodeInfo.containerRuntimeVersion'
