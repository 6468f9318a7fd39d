# shellcheck shell=bash
# The user's own cluster: what it must offer, and how all that is ours gets out of it again. Sourced by cluster.sh.

OLDEST_KUBERNETES=1.30 OLDEST_HELM=3.14
# The demo makes these and takes them away with everything in them, so nobody else may have them.
OWN_NAMESPACES=(shop hostfit)
OWN_RELEASES=(hostfit fit-two)

problems=()
lacks() { problems+=("$(printf '  %s\n      %s' "$1" "$2")"); } # WHAT HOW-TO-GET-IT

# Ends here if anything is missing so far: what comes next could not even be asked.
end_if_lacking() {
  [ "${#problems[@]}" -gt 0 ] || return 0
  echo "The demo cannot run in your cluster. Nothing was changed in it. Missing:" >&2
  printf '%s\n' "${problems[@]}" >&2
  exit 2
}

at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; } # LEAST HAVE

require_tools() {
  local version
  tests/cluster/require.sh image || exit
  command -v kubectl >/dev/null || lacks "kubectl" "https://kubernetes.io/docs/tasks/tools/"
  command -v skopeo >/dev/null || lacks "skopeo, to push images" "apt-get install skopeo"
  if ! command -v helm >/dev/null; then
    lacks "helm" "https://helm.sh/docs/intro/install/"
  else
    version=$(helm version --template '{{.Version}}')
    at_least "$OLDEST_HELM" "${version#v}" || lacks "Helm $OLDEST_HELM or newer (this is $version)" "https://helm.sh/docs/intro/install/"
  fi
  case ${REGISTRY:-} in
    "") lacks "REGISTRY: where you may push, and your nodes and pods may pull without a password" \
      "for example: make demo CLUSTER=current REGISTRY=registry.example.com/hostfit-demo (without TLS: PLAIN_HTTP=1)" ;;
    *://* | */) lacks "a REGISTRY without a scheme and without a slash at its end ('$REGISTRY')" "for example REGISTRY=registry.example.com/hostfit-demo" ;;
    localhost* | 127.* | \[::1\]*) lacks "a REGISTRY that pods can reach: '$REGISTRY' is each machine and each pod itself" \
      "use a name or an address that means the same on this machine, on the nodes and in pods" ;;
  esac
  end_if_lacking
}

require_reachable_cluster() {
  local version
  if ! version=$(kubectl get --raw /version --request-timeout=10s 2>&1); then
    lacks "a cluster that answers (context '$(kubectl config current-context 2>/dev/null || true)'): ${version##*$'\n'}" \
      "kubectl config use-context NAME, or set KUBECONFIG"
    end_if_lacking
  fi
  version=$(jq -r .gitVersion <<<"$version")
  at_least "$OLDEST_KUBERNETES" "${version#v}" || lacks "Kubernetes $OLDEST_KUBERNETES or newer (this is $version)" "use another context"
  [ "$(kubectl auth can-i '*' '*' --all-namespaces 2>/dev/null)" = yes ] ||
    lacks "the rights of a cluster administrator (the demo makes nodes, CRDs, roles and webhook configurations)" \
      "use a context that has them: kubectl auth can-i '*' '*' --all-namespaces"
  end_if_lacking
}

# What is there already stays as it is: the demo would change it, and take it away at its end.
require_room() {
  local namespace node
  [ -z "$(ours)" ] || lacks "a cluster without Hostfit: here is $(ours | paste -sd ' ')" \
    "use another cluster, or take Hostfit away first: docs/install.md, \"Uninstall\""
  for namespace in "${OWN_NAMESPACES[@]}"; do
    [ -z "$(kubectl get namespace "$namespace" --ignore-not-found -o name)" ] ||
      lacks "the namespace '$namespace': it exists already, and the demo makes and removes its own" "kubectl delete namespace $namespace, or use another cluster"
  done
  for node in $(tests/cluster/nodes.sh names); do
    [ -z "$(kubectl get node "$node" --ignore-not-found -o name)" ] ||
      lacks "the node name '$node': it exists already, and the demo makes and removes its own" "CLUSTER=current tests/cluster/nodes.sh remove, if it is of an earlier demo"
  done
  [ "$(kubectl get nodes -l kubernetes.io/arch=amd64,kubernetes.io/os=linux -o json | jq '[.items[] | select(.spec.unschedulable | not)] | length')" -gt 0 ] ||
    lacks "a Linux node for amd64: the image is built for nothing else" "use another cluster"
  end_if_lacking
  # A cloud's controller removes nodes that it has no machine for.
  if kubectl get nodes -o json | jq -e 'any(.items[]; .spec.providerID // "" | test("^(aws|gce|azure|digitalocean|hcloud|ibm|oci|openstack|vsphere)"))' >/dev/null; then
    echo "demo: these nodes are a cloud's, whose controller may remove the demo's six fake nodes while it runs; if a step then" >&2
    echo "      fails, use a cluster such as kind's" >&2
  fi
}

require_registry() {
  local empty out
  empty=$(mktemp -d)
  # The tag that gets Hostfit's own image later.
  if ! out=$(tests/cluster/push.sh "$empty" hostfit:demo 2>&1); then
    lacks "a registry that takes images at $REGISTRY: ${out##*msg=}" \
      "skopeo login ${REGISTRY%%/*}; for a registry without TLS PLAIN_HTTP=1; make the repository hostfit, if it must be made first"
  fi
  rm -rf "$empty"
  end_if_lacking
}

require_own_cluster() {
  require_tools
  require_reachable_cluster
  require_room
  # push.sh keeps its layouts there.
  start_own_cluster
  trap 'rm -rf "$OWN_STATE"' EXIT
  require_registry
  echo "demo: in the cluster of context $(kubectl config current-context); it judges pods of the namespace shop only, and takes" >&2
  echo "      away what it made: namespaces ${OWN_NAMESPACES[*]}, nodes $(tests/cluster/nodes.sh names | paste -sd ' '), CRDs, labels of nodes" >&2
}

OWN_STATE=
start_own_cluster() {
  [ -z "$OWN_STATE" ] || return 0
  OWN_STATE=$(mktemp -d)
  mkdir "$OWN_STATE/images"
  # A shell that has read the local cluster's environment must not lead there.
  unset IN_NS
  export CLUSTER_STATE=$OWN_STATE
}

# What Hostfit has in the whole cluster, whoever installed it.
CLUSTER_WIDE=validatingwebhookconfigurations,mutatingwebhookconfigurations,crd,clusterroles,clusterrolebindings
ours() { kubectl get "$CLUSTER_WIDE" -l app.kubernetes.io/part-of=hostfit -o name; }

leave_own_cluster() {
  local release labels
  for release in "${OWN_RELEASES[@]}"; do helm uninstall "$release" -n hostfit >/dev/null 2>&1 || true; done
  kubectl delete namespace "${OWN_NAMESPACES[@]}" --ignore-not-found --wait=false >/dev/null || true
  # Nobody is there to end pods on the fake nodes.
  kubectl delete pods --all -n shop --force --grace-period=0 >/dev/null 2>&1 || true
  tests/cluster/nodes.sh remove || true
  kubectl delete "$CLUSTER_WIDE" -l app.kubernetes.io/part-of=hostfit >/dev/null || true
  mapfile -t labels < <(kubectl get nodes -o json | jq -r '[.items[].metadata.labels | keys[] | select(startswith("hostfit.dev/"))] | unique[] | . + "-"')
  [ "${#labels[@]}" = 0 ] || kubectl label nodes --all "${labels[@]}" >/dev/null || true
  kubectl wait --for=delete "${OWN_NAMESPACES[@]/#/namespace/}" --timeout 60s >/dev/null 2>&1 ||
    echo "demo: still being removed: $(kubectl get namespace "${OWN_NAMESPACES[@]}" --ignore-not-found -o name | paste -sd ' ')" >&2
  rm -rf "$OWN_STATE"
  echo "demo: what it made is gone from the cluster; its images stay in $REGISTRY (hostfit, bases/*, shop/*)"
}
