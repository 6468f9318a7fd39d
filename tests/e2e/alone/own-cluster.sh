#!/usr/bin/env bash
# `make demo CLUSTER=current`: what it asks of a user's cluster, and that only what it made goes. The story itself is not
# told again. The local cluster plays the user's, and must be a fresh one: not one of the cases that run one after the
# other. By hand: make image; tests/cluster/up.sh; . .cluster/env; tests/e2e/alone/own-cluster.sh
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh

# own SETTING… FUNCTION  as in a shell of the user's, in the cluster's network.
own() {
  # shellcheck disable=SC2016 # for the inner shell
  $CONTEXT env -u IN_NS -u CLUSTER_STATE CLUSTER=current PLAIN_HTTP=1 "REGISTRY=$REGISTRY/own" "${@:1:$#-1}" \
    bash -euo pipefail -c '. tests/e2e/cluster.sh; "$1"' - "${!#}"
}
asks_for() { # WORDS SETTING…
  check "asks for $1" fails_with "$1" own "${@:2}" require_own_cluster
}

# What the cases before have left.
kubectl delete crd,clusterrole,clusterrolebinding -l app.kubernetes.io/part-of=hostfit >/dev/null
tests/cluster/nodes.sh remove

asks_for "REGISTRY: where you may push" REGISTRY=
asks_for "a REGISTRY that pods can reach" REGISTRY=localhost:5000/own
asks_for "a registry that takes images at ${REGISTRY%:*}:9" "REGISTRY=${REGISTRY%:*}:9/own"
asks_for "a cluster that answers" KUBECONFIG=/dev/null
kubectl create namespace shop >/dev/null
asks_for "the namespace 'shop'"
kubectl delete namespace shop >/dev/null
make_pools
asks_for "the node name 'rhel9-1'"
tests/cluster/nodes.sh remove
kubectl apply --server-side -f crds/yaml >/dev/null
asks_for "a cluster without Hostfit: here is customresourcedefinition"
kubectl delete crd,clusterrole,clusterrolebinding -l app.kubernetes.io/part-of=hostfit >/dev/null

# Somebody who may only look.
kubectl create serviceaccount looker -n default >/dev/null
kubectl create clusterrolebinding looker --clusterrole=view --serviceaccount=default:looker >/dev/null
jq -n --arg server "$(kubectl config view -o jsonpath='{.clusters[0].cluster.server}')" --arg token "$(kubectl create token looker -n default)" \
  '{apiVersion: "v1", kind: "Config", "current-context": "c", contexts: [{name: "c", context: {cluster: "c", user: "u"}}],
    clusters: [{name: "c", cluster: {server: $server, "insecure-skip-tls-verify": true}}], users: [{name: "u", user: {token: $token}}]}' >"$SCRATCH/looker"
asks_for "the rights of a cluster administrator" "KUBECONFIG=$SCRATCH/looker"
kubectl delete clusterrolebinding looker >/dev/null
kubectl delete serviceaccount looker -n default >/dev/null

# Other people's things, and then ours in the midst of them.
kubectl create namespace theirs >/dev/null
kubectl label node -l '!pool' theirs=yes >/dev/null
kubectl apply -f - >/dev/null <<'Y'
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: theirs}
webhooks:
  - name: pods.theirs.example
    clientConfig: {service: {namespace: theirs, name: none}}
    failurePolicy: Ignore
    sideEffects: None
    admissionReviewVersions: [v1]
    rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: theirs}}
Y
all() { kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations,namespaces,nodes,crd,clusterroles,clusterrolebindings --show-labels --no-headers | awk '{print $1, $NF}'; }
gone() { [ -z "$(kubectl get "$@" --ignore-not-found -o name)" ]; }
eventually 30 "shop is gone" gone namespace shop
eventually 60 "hostfit is gone" gone namespace hostfit
before=$(all)
check "a cluster with all that it needs will do" own require_own_cluster

cat >"$SCRATCH/steps" <<'STEPS'
. tests/e2e/kit.sh
make_pools
push_images
create_namespace shop
helm install hostfit charts/hostfit -n hostfit --create-namespace --wait --timeout 90s "${VALUES[@]}" >/dev/null
NS=shop
eventually 30 "pods of shop are judged" pod_is fits shop/web:1 rhel9 "$REGISTRY/shop/web:1" Pass
NS=theirs
eventually 30 "their namespace has its account" kubectl get serviceaccount default -n theirs
pod arm shop/arm:1 rhel9
check "pods of others are not judged" test "$(grep -c Warning "$OUTPUT")" = 0
is_labelled() { kubectl get nodes -l theirs=yes,hostfit.dev/host-profile -o name | grep .; }
eventually 30 "their node is labelled" is_labelled
STEPS
begins_and_ends() {
  start_cluster
  trap stop_cluster EXIT
  bash -euo pipefail "$STEPS"
}
export -f begins_and_ends
check "the demo begins, and cleans up" own "STEPS=$SCRATCH/steps" begins_and_ends
# KWOK's pods and nodes go their way.
is_as_before() { diff <(echo "$before") <(all); }
eventually 30 "all is as it was before" is_as_before
check "their pod is still there" kubectl get pod arm -n theirs
# Its node is gone, so nobody else ends it.
kubectl delete pod arm -n theirs --force --grace-period=0 >/dev/null 2>&1
kubectl delete validatingwebhookconfiguration theirs >/dev/null
kubectl delete namespace theirs >/dev/null
kubectl label node -l theirs theirs- >/dev/null
