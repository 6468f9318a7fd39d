# shellcheck shell=bash disable=SC2034
# Names and addresses of the local cluster. Sourced by every script in this folder.

CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO_ROOT=$(cd "$CLUSTER_DIR/../.." && pwd -P)
DEFAULT_STATE=$REPO_ROOT/.cluster

# CLUSTER=current: the user's own cluster, with whatever kubectl reaches, and a registry of the user's.
is_current() { [ "${CLUSTER:-local}" = current ]; }

# Everything lives in one network namespace, so nothing here can meet the host's own ports,
# routes or iptables rules. There is one such cluster per machine.
NETNS=hostfit
NETNS_FILE=/run/netns/$NETNS
# Says where the state of the running cluster is, for whoever finds the namespace taken.
RECORD=/run/hostfit-cluster
# All pods live below this cgroup: what is in it is ours, and nothing else is.
CGROUP=hostfit-cluster

# Names the pods' network in files that lie outside the state.
CNI_NETWORK=hostfit-pods

# Fixed in the kubelet: why there cannot be two on one machine.
DEVICE_PLUGINS=/var/lib/kubelet/device-plugins

NODE=node-1
NODE_IP=10.111.0.1
POD_CIDR=10.112.0.0/16
NODE_POD_CIDR=10.112.0.0/24
SERVICE_CIDR=10.113.0.0/16
API_SERVICE_IP=10.113.0.1
FAKE_POD_CIDR=10.114.0.0/16

is_current || REGISTRY=$NODE_IP:5000
PRIVATE_REGISTRY=$NODE_IP:5001
# A throwaway account of a registry that only this namespace can reach.
PRIVATE_REGISTRY_USER=demo
PRIVATE_REGISTRY_PASSWORD=demo-password

# Not `ip netns exec`: that remounts /sys and hides /sys/fs/cgroup from the kubelet.
in_ns() { if is_current; then "$@"; else nsenter --net="$NETNS_FILE" "$@"; fi; }

say() { printf 'cluster: %s\n' "$*" >&2; }

die() { # CODE MESSAGE…
  local code=$1
  shift
  say "$@"
  exit "$code"
}

# The state of the cluster that a script talks to: set by $STATE/env, else the default place.
state_in_use() {
  local state=${CLUSTER_STATE:-$DEFAULT_STATE}
  [ -f "$state/env" ] || die 1 "no cluster is up (no $state/env): start one with tests/cluster/up.sh"
  printf '%s\n' "$state"
}
