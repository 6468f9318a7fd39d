# shellcheck shell=bash
# Where the story plays: the local cluster, or the user's own. Sourced by demo.sh and test.sh.

STATE=$PWD/.cluster

is_local() { [ "${CLUSTER:-local}" != current ]; }

# Says at the start what is missing, and how to get it.
require_cluster() {
  local tool
  if is_local; then
    tests/cluster/require.sh
    return
  fi
  for tool in kubectl helm skopeo jq; do
    command -v "$tool" >/dev/null || { echo "demo: $tool is missing, and CLUSTER=current needs it" >&2; exit 2; }
  done
  if [ -z "${REGISTRY:-}" ]; then
    echo "demo: set REGISTRY to a registry that you may push to and your nodes may pull from," >&2
    echo "      for example REGISTRY=registry.example.com/hostfit-demo" >&2
    exit 2
  fi
  if kubectl get crd supportmatrices.hostfit.dev >/dev/null 2>&1; then
    echo "demo: Hostfit is installed in this cluster already; the demo would take it away with itself" >&2
    exit 2
  fi
  kubectl version >/dev/null || { echo "demo: kubectl cannot reach the cluster of its current context" >&2; exit 2; }
}

build_image() {
  if ! make image >/tmp/hostfit-image.$$ 2>&1; then
    tail -n 30 /tmp/hostfit-image.$$ >&2
    rm -f /tmp/hostfit-image.$$
    exit 1
  fi
  echo "image: $(tail -n 1 /tmp/hostfit-image.$$)"
  rm -f /tmp/hostfit-image.$$
}

start_cluster() {
  if ! is_local; then
    export CLUSTER_STATE
    CLUSTER_STATE=$(mktemp -d)
    mkdir "$CLUSTER_STATE/images"
    return
  fi
  tests/cluster/up.sh "$STATE" 2>&1 | tail -n 1 | sed 's/ To use it.*//'
  # shellcheck disable=SC1091
  . "$STATE/env"
}

stop_cluster() {
  local code=$?
  if [ -n "${KEEP:-}" ]; then
    is_local && echo "kept: . $STATE/env; \$IN_NS kubectl get compat -A     (make down removes it)"
  elif is_local; then
    tests/cluster/down.sh "$STATE" 2>/dev/null || true
  else
    helm uninstall hostfit -n hostfit >/dev/null 2>&1 || true
    kubectl delete namespace shop hostfit --ignore-not-found --wait=false >/dev/null || true
    kubectl delete crd -l app.kubernetes.io/part-of=hostfit >/dev/null || true
    tests/cluster/nodes.sh remove || true
    rm -rf "$CLUSTER_STATE"
  fi
  return "$code"
}
