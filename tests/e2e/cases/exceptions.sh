#!/usr/bin/env bash
# What people accept until a date, and plans of upgrades: what a real API server takes and shows of them.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
NS=exceptions
make_pools
push_images
create_namespace "$NS"
install
eventually 60 "profiles are observed" has_profiles rhel94-k514
eventually 30 "base images followed" base_is_ready rhel6
run_workload ledger "$REGISTRY/shop/ledger:1" rhel9 2>/dev/null
eventually 60 "a workload fails" report_is deploy-ledger Fail

# exception NAME CHANGES  prints one for the workload, with other fields
exception() {
  jq -cn --arg name "$1" --arg namespace "$NS" --argjson change "$2" '{apiVersion: "hostfit.dev/v1alpha1", kind: "CompatException",
    metadata: {$name, $namespace}, spec: ({codes: ["HF502"], selector: {matchLabels: {app: "ledger"}},
      reason: "ledger 2 comes in December", expirationTime: "2099-01-01T00:00:00Z"} + $change | del(..|nulls))}'
}
# not_taken CHANGES SENTENCE
not_taken() { ! exception bad "$1" | kubectl create -f - >"$OUTPUT" 2>&1 && grep -qF -- "$2" "$OUTPUT"; }
check "one without expiry is not taken" not_taken '{"expirationTime": null}' 'spec.expirationTime: Required value'
check "one without reason is not taken" not_taken '{"reason": "later"}' 'spec.reason'
check "one without codes is not taken" not_taken '{"codes": []}' 'spec.codes'
check "one that selects nothing is not taken" not_taken '{"selector": null}' 'say what is excepted'
check "nor one with an empty selector" not_taken '{"selector": {}}' 'say what is excepted'

is_ready() { [ "$(kubectl get cex -n "$NS" "$1" -o jsonpath='{.status.conditions[?(@.type=="Ready")].reason}')" = "$2" ]; }
is_in_state() { [ "$(kubectl get cex -n "$NS" "$1" -o jsonpath='{.status.state}')" = "$2" ]; }
exception typo '{"codes": ["HF5O2"]}' | kubectl create -f - >/dev/null
eventually 30 "an unknown code is told" is_ready typo UnknownCode
exception all '{"codes": ["*"], "selector": null, "images": ["none.example/*"]}' | kubectl create -f - >/dev/null
eventually 30 "one of all findings is broad" is_ready all Broad
check "and unused" is_in_state all Unused
check "the workload fails all the same" report_is deploy-ledger Fail

exception ledger '{}' | kubectl create -f - >/dev/null
excepted() { [ "$(kubectl get compat -n "$NS" deploy-ledger -o jsonpath='{.status.excepted[*].exception} {.status.excepted[*].code}')" = "ledger HF502" ]; }
eventually 30 "the report lists what is excepted" excepted
eventually 30 "the exception is active" is_in_state ledger Active
counted() { [ "$(kubectl get smx default -o jsonpath='{.status.activeExceptions}')" = 1 ]; }
eventually 30 "the matrix counts it" counted
no_verdict_fail() { ! report_is deploy-ledger Fail; }
check "and it fails no more" no_verdict_fail
narrow() { kubectl get "$@" | awk 'length > 80 {print; wide = 1} END {exit wide}'; }
check "the table fits" narrow cex -A

soon=$(date -u -d '+5 seconds' +%Y-%m-%dT%H:%M:%SZ)
kubectl patch cex -n "$NS" ledger --type=merge -p "{\"spec\": {\"expirationTime\": \"$soon\"}}" >/dev/null
eventually 20 "it ends" is_in_state ledger Expired
eventually 5 "and the workload fails again" report_is deploy-ledger Fail
told() { kubectl get events -n "$NS" -o json | jq -e '[.items[] | select(.involvedObject.name == "ledger") | .reason] | contains(["ExceptionExpired"])'; }
[ -z "$CONTEXT" ] || eventually 10 "an event tells it" told

declare_arm_pool
breaks() { [ "$(kubectl get ccompat el9-on-arm -o jsonpath='{.status.blockers[?(@.name=="ledger")].code}')" = HF110 ]; }
eventually 30 "the plan names what breaks" breaks
check "an observed profile has a report, too" kubectl get ccompat rhel94-k514
check "the table fits" narrow ccompat
renamed() { ! kubectl patch ccompat el9-on-arm --type=merge -p '{"spec": {"hostProfileName": "other"}}'; }
check "a report stays with its profile" renamed
same() { [ "$(kubectl get hprof el9-on-arm -o json | jq -c .status.workloads)" = "$(kubectl get ccompat el9-on-arm -o json | jq -c .status.workloads)" ]; }
eventually 20 "the profile counts the same" same
kubectl delete hprof el9-on-arm >/dev/null
gone() { ! kubectl get ccompat el9-on-arm; }
eventually 60 "it goes with its profile" gone
uninstall
