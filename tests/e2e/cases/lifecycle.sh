#!/usr/bin/env bash
# Orders in which things come and go: CRDs late, CRDs first, the namespace deleted, another name.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
NS=lifecycle
make_pools
push_images
create_namespace "$NS"

judged_now() { pod_is "now-$RANDOM" shop/web:1 rhel9 "$REGISTRY/shop/web:1" Pass; }

# The operator is there before its CRDs.
kubectl delete crd -l app.kubernetes.io/part-of=hostfit >/dev/null
helm install hostfit charts/hostfit -n hostfit --create-namespace "${VALUES[@]}" --set crds.install=false >/dev/null
says_missing() {
  kubectl logs -n hostfit -l app.kubernetes.io/component=operator --tail=200 | grep -q 'install the CustomResourceDefinition'
}
eventually 30 "the operator says that the CRDs are missing" says_missing
kubectl apply --server-side -f crds/yaml >/dev/null
kubectl rollout status deployment -n hostfit --timeout 90s >/dev/null
eventually 60 "the defaults are applied when the CRDs have come" kubectl get smx default
eventually 60 "profiles are observed" has_profiles rhel94-k514
eventually 30 "pods are judged" judged_now

# The CRDs go while everything runs: pods are still admitted, nothing crashes; they come back, and all is well again.
kubectl delete crd supportmatrices.hostfit.dev hostprofiles.hostfit.dev baseimages.hostfit.dev compatreports.hostfit.dev >/dev/null
pod without-crds shop/web:1 rhel9
check "pods are admitted without CRDs" grep -q created "$OUTPUT"
restarts() { kubectl get pods -n hostfit -o jsonpath='{.items[*].status.containerStatuses[0].restartCount}' | tr ' ' '\n' | sort -u; }
sleep 5
check "nothing crashed" test "$(restarts)" = 0
helm uninstall hostfit -n hostfit --wait --timeout 60s >/dev/null

# The namespace is deleted without an uninstall.
kubectl apply --server-side -f crds/yaml >/dev/null
install --set crds.install=false
kubectl delete namespace hostfit --timeout 60s >/dev/null
pod orphaned shop/web:1 rhel9
check "pods are admitted while nobody answers" grep -q created "$OUTPUT"
helm uninstall hostfit -n hostfit >/dev/null 2>&1 || kubectl delete validatingwebhookconfiguration,mutatingwebhookconfiguration hostfit >/dev/null

# Under another name, in another namespace.
helm install fit-two charts/hostfit -n elsewhere --create-namespace --wait --timeout 90s "${VALUES[@]}" --set crds.install=false --take-ownership >/dev/null
eventually 30 "reports again" report_is pod-without-crds Pass
helm uninstall fit-two -n elsewhere --wait --timeout 60s >/dev/null
kubectl delete namespace "$NS" elsewhere --wait=false >/dev/null
check "no webhook configuration is left" test -z "$(kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o name)"
kubectl delete smx,hprof,nprof,bimg,iprof --all >/dev/null
