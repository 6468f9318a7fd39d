#!/usr/bin/env bash
# What people read: explained fields, tables, selectors; and what our accounts may do.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
NS=reading
make_pools
push_images
create_namespace "$NS"
install
run_workload web "$REGISTRY/shop/web:1" rhel9
run_workload ledger "$REGISTRY/shop/ledger:1" rhel9
eventually 30 "report on ledger" report_is deploy-ledger Fail
eventually 30 "report on web" report_is deploy-web Pass

# A base by a pattern, and one of which nothing matches.
base() { printf '{"apiVersion": "hostfit.dev/v1alpha1", "kind": "BaseImage", "metadata": {"name": "%s"}, "spec": {"repository": "%s", "tags": ["%s"]}}' "$@" | kubectl apply -f - >/dev/null; }
base by-pattern "$REGISTRY/bases/ubi8" "8.*"
base by-mistake "$REGISTRY/bases/ubi8" "7.*"
eventually 20 "tags are followed by a pattern" base_is_ready by-pattern
base_says() { kubectl get bimg "$1" -o jsonpath='{.status.conditions[0].message}' | grep -q -- "$2"; }
eventually 20 "a pattern that leads to nothing is told" base_says by-mistake 'no tag matches 7'

event_says() { kubectl get events -n "$NS" --field-selector "reason=$2,involvedObject.name=$1" -o json | jq -e --arg text "$3" '.items | length == 1 and (.[0].message | startswith($text))'; }
eventually 20 "a verdict is told as one Event of its workload" event_says ledger ImageHostIncompatible "HF502 "
check "what fits is told to nobody" test -z "$(kubectl get events -n "$NS" --field-selector involvedObject.name=web,reason=ImageHostWarning -o name)"

every_field_is_explained() {
  local field
  for field in $(kubectl get crd compatreports.hostfit.dev -o json | jq -r '.spec.versions[0].schema.openAPIV3Schema.properties.status.properties | keys[]'); do
    kubectl explain "compat.status.$field" | grep -A1 '^DESCRIPTION' | grep -q '[a-z]' || { echo "$field is not explained"; return 1; }
  done
}
check "every field of a report is explained" every_field_is_explained
check "reports can be selected by verdict" test "$(kubectl get compat -n "$NS" --field-selector status.verdict=Fail -o name)" = compatreport.hostfit.dev/deploy-ledger
check "and by label" test "$(kubectl get compat -n "$NS" -l hostfit.dev/verdict=Fail -o name)" = compatreport.hostfit.dev/deploy-ledger
tables_are_narrow() { kubectl get "$1" -A | awk 'length > 100 {print; bad = 1} END {exit bad}'; }
for kind in compat hprof nprof bimg smx iprof; do check "the table of $kind is narrow" tables_are_narrow "$kind"; done
check "the target of a report is immutable" fails_with immutable \
  kubectl patch compat deploy-web -n "$NS" --type=merge -p '{"spec": {"targetRef": {"name": "other"}}}'

may() { kubectl auth can-i "${@:2}" --as="system:serviceaccount:hostfit:$1"; }
may_not() { [ "$(may "$@")" = no ]; }
for account in hostfit-webhook hostfit-operator; do
  check "$account may not read Secrets of others" may_not "$account" get secrets -n "$NS"
  check "$account may not list Secrets" may_not "$account" list secrets -n hostfit
  check "$account may not delete pods" may_not "$account" delete pods -n "$NS"
done
for verb in create patch update delete; do
  check "the webhook may not $verb reports" may_not hostfit-webhook "$verb" compatreports.hostfit.dev -n "$NS"
done

metrics_of() {
  local pod
  for pod in $(kubectl get pods -n hostfit -l "app.kubernetes.io/component=$1" -o name); do
    kubectl get --raw "/api/v1/namespaces/hostfit/${pod/pod/pods}:8080/proxy/metrics"
  done
}
every_metric_is_there() {
  local metric served missing=0
  served=$(metrics_of webhook; metrics_of operator)
  for metric in $(grep -oE '^\| `hostfit_[a-z_]+`' docs/metrics.md | grep -oE 'hostfit_[a-z_]+'); do
    metric=${metric%_total}
    grep -q "^# TYPE ${metric%_info} " <<<"$served" || { echo "$metric is documented and not served"; missing=1; }
  done
  return "$missing"
}
check "every documented metric is served" every_metric_is_there

# Applying twice changes nothing: the operator is left alone, and so are its objects.
versions() { kubectl get compat,hprof,nprof,bimg,smx,iprof -A -o json | jq -r '.items[] | .kind + "/" + .metadata.name + " " + .metadata.resourceVersion'; }
sleep 12
before=$(versions)
kubectl rollout restart deployment hostfit-operator -n hostfit >/dev/null
kubectl rollout status deployment hostfit-operator -n hostfit --timeout 60s >/dev/null
sleep 15
check "a new leader writes nothing that is not new" diff <(echo "$before") <(versions)

# What people changed stays theirs, and they are told.
kubectl patch smx default --type=merge --field-manager=people -p '{"spec": {"mode": "Audit"}}' >/dev/null
kubectl rollout restart deployment hostfit-operator -n hostfit >/dev/null
conflict_is_told() {
  kubectl get smx default -o json | jq -e '.spec.mode == "Audit" and any(.status.conditions[]; .type == "DefaultsApplied" and .status == "False" and (.message | contains(".spec.mode")))' &&
    kubectl get events -A --field-selector reason=DefaultsNotApplied,involvedObject.name=default -o json | jq -e '.items | length == 1'
}
eventually 40 "an edit that contradicts the chart stays, and the matrix says so" conflict_is_told
uninstall
