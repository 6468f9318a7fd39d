#!/usr/bin/env bash
# What is read of images: once, kept by digest, made again when it is lost, and gone when nobody uses it.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
NS=layers
make_pools
push_images
create_namespace "$NS"
install --set images.keepUnused=5s
run_workload quiet "$REGISTRY/shop/quiet:1" rhel9
image_says() { kubectl get compat -n "$NS" "$1" -o json | jq -e ".status.images[0] | $2"; }
eventually 30 "the files tell what the image is" image_says deploy-quiet '.distro == "debian 10" and (.onlyConfig | not)'
check "and the report follows" report_is deploy-quiet Warn
profile_says() { kubectl get iprof -o json | jq -e "[.items[].status | select(.platforms[0].files.distro.from == \"etc/os-release\")] | length == 1 and (.[0] | $1)"; }
check "its profile says so, and by which file" profile_says '.distro == "debian-10" and .conditions[0].status == "True"'
check "a profile is small" test "$(kubectl get iprof -o json | jq '.items[0] | {spec, status} | tojson | length')" -le 4096
check "its digest cannot be changed" fails_with immutable \
  kubectl patch "$(kubectl get iprof -o name | head -n 1)" --type=merge -p '{"spec": {"digest": "sha256:0"}}'

name=$(kubectl get iprof -o jsonpath='{.items[0].metadata.name}')
uid=$(kubectl get iprof "$name" -o jsonpath='{.metadata.uid}')
kubectl delete iprof "$name" >/dev/null
made_again() { [ "$(kubectl get iprof "$name" -o jsonpath='{.metadata.uid}')" != "$uid" ] && profile_says .inspectedTime; }
eventually 90 "a profile that is lost is made again" made_again

kubectl delete deployment quiet -n "$NS" >/dev/null
gone() { ! kubectl get iprof "$name"; }
eventually 40 "a profile that nobody uses goes" gone

for verb in create patch delete; do
  check "the webhook may not $verb profiles" test "$(kubectl auth can-i "$verb" imageprofiles.hostfit.dev --as=system:serviceaccount:hostfit:hostfit-webhook)" = no
done

helm upgrade hostfit charts/hostfit -n hostfit --wait --timeout 90s --reuse-values --set images.inspectLayers=false >/dev/null
run_workload fast "$REGISTRY/shop/fast:1" rhel9
eventually 40 "without layers an image is judged by its config, and the report says so" image_says deploy-fast .onlyConfig
check "what nothing tells is unknown" report_is deploy-fast Unknown
uninstall
