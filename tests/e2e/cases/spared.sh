#!/usr/bin/env bash
# While nothing refuses, the API server asks about a new pod once; as soon as something does, twice.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
NS=spared
make_pools
push_images
create_namespace "$NS"
create_namespace "$NS-enforced"
kubectl label namespace "$NS-enforced" hostfit.dev/mode=enforce >/dev/null
install
eventually 60 "profiles are observed" has_profiles rhel94-k514 amzn2-k510
eventually 30 "base images followed" base_is_ready rhel6

# Calls of /validate about new pods, so far.
asked() {
  kubectl get --raw /metrics | awk '/^apiserver_admission_webhook_admission_duration_seconds_count.*name="(pods|enforced).hostfit.dev".*type="validating"/ {n += $NF} END {print n + 0}'
}
# asks TIMES COMMAND…
asks() {
  local times=$1 before
  before=$(asked)
  shift
  "$@" || return 1
  [ "$(($(asked) - before))" = "$times" ] || { echo "it was asked $(($(asked) - before)) times, not $times"; return 1; }
}
# try REPOSITORY:TAG  as a dry run, from which nothing stays
try() { pod_json try "$REGISTRY/$1" rhel9 | kubectl create -n "$NS" --dry-run=server -f - >"$OUTPUT" 2>&1; }
refuses() { ! try "$1" && grep -q 'denied the request' "$OUTPUT"; }

eventually 30 "a pod that fits is asked about once" asks 0 try shop/web:1
check "so is one that does not" asks 0 try shop/ledger:1
check "whose author is warned, once" test "$(grep -c HF502 "$OUTPUT")" = 1
check "the namespace that asks for enforce is none of these" \
  fails_with 'enforced.hostfit.dev' kubectl create -n "$NS-enforced" --dry-run=server -f <(pod_json try "$REGISTRY/shop/ledger:1" rhel9)
asking() { pod_json try "$REGISTRY/shop/web:1" rhel9 | jq '.metadata.labels = {"hostfit.dev/validate": "yes"}' | kubectl create -n "$NS" --dry-run=server -f - >"$OUTPUT" 2>&1; }
check "who wants both calls gets them" asks 1 asking

kubectl patch smx default --type=merge -p '{"spec": {"mode": "Enforce"}}' >/dev/null
eventually 10 "an edit of the matrix refuses" refuses shop/ledger:1
check "a pod that fits is asked about twice then" asks 1 try shop/web:1
# Somebody who loosens another matrix loosens nothing.
jq -cn '{apiVersion: "hostfit.dev/v1alpha1", kind: "SupportMatrix", metadata: {name: "other"}, spec: {mode: "Warn"}}' | kubectl apply -f - >/dev/null
sleep 2
check "a second matrix changes nothing" refuses shop/ledger:1
kubectl delete smx other >/dev/null
kubectl patch smx default --type=merge -p '{"spec": {"mode": "Warn"}}' >/dev/null
eventually 10 "back in mode Warn it is let in" try shop/ledger:1
eventually 30 "and after a while asked about once" asks 0 try shop/web:1

# The operator is away while somebody turns it on.
scale() { kubectl scale deployment/hostfit-operator -n hostfit --replicas "$1" >/dev/null; }
scale 0
kubectl wait --for=delete pod -n hostfit -l app.kubernetes.io/component=operator --timeout 60s >/dev/null
kubectl patch smx default --type=merge -p '{"spec": {"mode": "Enforce"}}' >/dev/null
doctor_tells() { $CONTEXT "$HOSTFIT" doctor -o json >"$SCRATCH/doctor" || true; jq -e '.checks[] | select(.docs | endswith("#spared"))' "$SCRATCH/doctor"; }
check "doctor tells of it" doctor_tells
scale 1
eventually 60 "it refuses once the operator is back" refuses shop/ledger:1
kubectl delete namespace "$NS-enforced" --wait=false >/dev/null
uninstall
