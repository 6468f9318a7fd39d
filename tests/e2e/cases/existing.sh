#!/usr/bin/env bash
# What already ran in a namespace is not refused there: a drained or restarted workload comes back.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
NS=existing
make_pools
push_images
create_namespace "$NS"
create_namespace "$NS-not"
install
eventually 60 "profiles are observed" has_profiles rhel94-k514
eventually 30 "base images followed" base_is_ready rhel6
# The fake kubelet tells no digest of what it runs, so the workload asks for one.
run_workload tagged "$REGISTRY/shop/ledger:1" rhel9 2>/dev/null
has_digest() { digest=$(kubectl get compat -n "$NS" deploy-tagged -o jsonpath='{.status.images[0].digest}') && [ -n "$digest" ]; }
eventually 60 "the digest is known" has_digest
ledger=$REGISTRY/shop/ledger@$digest
run_workload ledger "$ledger" rhel9 2>/dev/null
ran() { [ "$(kubectl get compat -n "$NS" deploy-ledger -o jsonpath='{.status.ranDigests[0]}')" = "$digest" ]; }
eventually 60 "its report tells that it ran" ran

kubectl label namespace "$NS" "$NS-not" hostfit.dev/mode=enforce >/dev/null
elsewhere() { ! pod_json ledger "$ledger" rhel9 | kubectl create -n "$NS-not" -f - >"$OUTPUT" 2>&1; }
eventually 20 "where it never ran, it is refused" elsewhere
check "as it is not for its image alone" grep -q HF502 "$OUTPUT"
kubectl delete pods -n "$NS" -l app=ledger --force --grace-period=0 >/dev/null 2>&1
is_back() { [ "$(kubectl get deployment -n "$NS" ledger -o jsonpath='{.status.readyReplicas}')" = 1 ]; }
eventually 60 "where it ran, its pods come back" is_back
pod again "" rhel9 "$ledger"
check "a person is told why" grep -q '^Warning: hostfit: not refused, as it already ran here (existingWorkloads): existing/again. HF502$' "$OUTPUT"
kubectl patch smx default --type=merge -p '{"spec": {"existingWorkloads": "Deny"}}' >/dev/null
eventually 20 "unless the matrix says so" refused once-more "" rhel9 "$ledger"

# A namespace that asks for less than it may.
kubectl label namespace "$NS-not" --overwrite hostfit.dev/mode=off >/dev/null
heeded() { kubectl get smx default -o jsonpath='{.status.conditions[?(@.type=="NamespaceLabelsHeeded")].message}'; }
is_told() { [ "$(heeded)" = "namespace $NS-not asks for mode \"off\", which namespaceOverrides: Tighten does not permit" ]; }
eventually 30 "the matrix tells of it" is_told
kubectl label namespace "$NS-not" hostfit.dev/mode- >/dev/null
is_silent() { [ -z "$(heeded)" ]; }
eventually 30 "and no longer" is_silent
kubectl delete namespace "$NS-not" --wait=false >/dev/null
uninstall
