#!/usr/bin/env bash
# The oldest Helm that the docs promise: install, upgrade, uninstall, install again under another name.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
NS=helm3
helm() { $CONTEXT "$(type -P helm3)" "$@" 2> >(grep -v 'found symbolic link' >&2); }

make_pools
push_images
create_namespace "$NS"
tell "$(helm version --short)"
# Those of the case before have another owner, and this Helm has no --take-ownership.
kubectl delete crd -l app.kubernetes.io/part-of=hostfit >/dev/null

helm install hostfit charts/hostfit -n hostfit --create-namespace --wait --timeout 90s "${VALUES[@]}" >/dev/null
eventually 30 "pods are judged" pod_is fits shop/web:1 rhel9 "$REGISTRY/shop/web:1" Pass
pod arm shop/arm:1 rhel9
check "the default mode warns" warned HF110

helm upgrade hostfit charts/hostfit -n hostfit --reuse-values --wait --timeout 90s --set mode=Enforce >/dev/null
eventually 30 "the changed value holds, and the webhook is still trusted" refused arm-2 shop/arm:1 rhel9
check "the upgrade is a second revision" test "$(helm list -n hostfit -o json | jq -r '.[0].revision')" = 2

helm uninstall hostfit -n hostfit --wait --timeout 60s >/dev/null
eventually 40 "nothing is left" nothing_left
check "matrices stay" kubectl get smx default

# The CRDs that stayed belong to the old name: docs/install.md, "Install again".
check "another name is refused while the CRDs are the old one's" fails_with 'invalid ownership metadata' \
  helm install fit-two charts/hostfit -n hostfit "${VALUES[@]}"
helm install fit-two charts/hostfit -n hostfit --wait --timeout 90s "${VALUES[@]}" --set crds.install=false >/dev/null
eventually 30 "pods are judged under another name" pod_is again shop/web:1 rhel9 "$REGISTRY/shop/web:1" Pass
helm uninstall fit-two -n hostfit --wait --timeout 60s >/dev/null
kubectl delete namespace "$NS" --wait=false >/dev/null
eventually 40 "nothing is left of the second either" nothing_left
kubectl delete smx,hprof,nprof,bimg,iprof --all >/dev/null
