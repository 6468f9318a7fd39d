#!/usr/bin/env bash
# Pods are kept away from hosts that do not fit, where another one does: every patch is taken by a real API server, and a
# pod lands where it should.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
NS=steering
make_pools
push_images
create_namespace "$NS"
install --set matrix.spec.steer=true
eventually 60 "profiles are observed" has_profiles rhel94-k514 amzn2-k510
eventually 30 "nodes are labelled" node_label_is pool=rhel9 hostfit.dev/host-profile rhel94-k514
eventually 30 "base images followed" base_is_ready rhel6

# On both pools: nothing is wrong with RHEL 6 on Amazon Linux, but Red Hat does not support it on RHEL 9.
both() { pod_json "$1" "$REGISTRY/shop/ledger:1" x | jq -c 'del(.spec.nodeSelector)
  | .spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms = [{matchExpressions: [{key: "pool", operator: "In", values: ["rhel9", "amzn2"]}]}]'; }
# What its files say decides about Amazon Linux, and they are read once a workload uses it.
run_workload ledger "$REGISTRY/shop/ledger:1" rhel9 2>/dev/null
is_steered() { both tried | kubectl create -n "$NS" --dry-run=server -o json -f - 2>/dev/null | jq -e '.metadata.annotations["hostfit.dev/steering"] == "away from rhel94-k514"'; }
eventually 60 "a pod is steered" is_steered
both lands | kubectl create -n "$NS" -f - >"$OUTPUT" 2>&1
check "the annotation tells" annotation_is lands steering "away from rhel94-k514"
check "nothing is said against what it has become" test "$(grep -c HF502 "$OUTPUT")" = 0
lands_on() { [[ $(kubectl get pod -n "$NS" "$1" -o jsonpath='{.spec.nodeName}') == "$2"-* ]]; }
eventually 30 "it lands where it fits" lands_on lands amzn2
for number in 1 2 3 4 5 6; do both "more-$number" | kubectl create -n "$NS" -f - >/dev/null 2>&1; done
for number in 1 2 3 4 5 6; do eventually 30 "so do others" lands_on "more-$number" amzn2; done
pod nowhere shop/ledger:1 rhel9
check "who can land nowhere else is told why" annotation_is nowhere steering "not steered: no host profile that it may land on fits"
eventually 30 "and lands there all the same" lands_on nowhere rhel9
check "a warning says it" warned HF502

# Two hundred pods of every shape, each tried twice: as it is, and as the API server gave it back.
shapes() {
  jq -cn --arg image "$REGISTRY/shop/ledger:1" '
    [null, {}, {nodeAffinity: {}}, {podAntiAffinity: {}, nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}},
     ([{matchExpressions: [{key: "pool", operator: "Exists"}]}, {matchExpressions: [{key: "none", operator: "DoesNotExist"}, {key: "pool", operator: "In", values: ["amzn2", "rhel9"]}]},
       {matchFields: [{key: "metadata.name", operator: "In", values: ["amzn2-1"]}]}, {matchExpressions: [], matchFields: [{key: "metadata.name", operator: "NotIn", values: ["x"]}]},
       {matchExpressions: [{key: "hostfit.dev/host-profile", operator: "NotIn", values: ["other"]}]}, {}] as $terms
      | range(0; 6) as $a | range(0; 6) as $b
      | {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [$terms[$a], $terms[$b]]}}})] as $affinities
    | [null, {}, {"hostfit.dev/steering": "away from rhel94-k514"}, {"hostfit.dev/steering": "not steered: forged", "a.b/c_d": "~1"}, {"x": "y"}] as $annotations
    | $affinities | to_entries[] | .key as $a | .value as $affinity | range(0; 5) as $n
    | {apiVersion: "v1", kind: "Pod", metadata: {name: "shape-\($a)-\($n)", annotations: $annotations[$n]},
       spec: {affinity: $affinity, tolerations: [{key: "kwok.x-k8s.io/node", operator: "Exists"}], containers: [{name: "app", image: $image}]}}'
}
# dry_run FILE…  what the API server makes of the pods of standard input, one a line
dry_run() { jq -cs '{apiVersion: "v1", kind: "List", items: .}' | kubectl create -n "$NS" --dry-run=server -o json -f - 2>/dev/null | jq -c 'if .kind == "List" then .items[] else . end'; }
given_back() { jq -c '{apiVersion, kind, metadata: {name: .metadata.name, annotations: .metadata.annotations},
  spec: {affinity: .spec.affinity, tolerations: .spec.tolerations, containers: [.spec.containers[] | {name, image}]}}'; }
shapes >"$SCRATCH/shapes"
dry_run <"$SCRATCH/shapes" | given_back >"$SCRATCH/once"
dry_run <"$SCRATCH/once" | given_back >"$SCRATCH/twice"
check "200 shapes are tried" test "$(wc -l <"$SCRATCH/shapes")" = 200
check "each is taken" test "$(wc -l <"$SCRATCH/once")" = 200
check "a second time nothing is changed" cmp "$SCRATCH/once" "$SCRATCH/twice"
steered=$(jq -s 'map(select(.metadata.annotations["hostfit.dev/steering"] == "away from rhel94-k514")) | length' "$SCRATCH/once")
check "most of them are steered ($steered)" test "$steered" -gt 100
every_term() {
  jq -es 'map(select(.metadata.annotations["hostfit.dev/steering"] == "away from rhel94-k514")
    | .spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms
    | all(. == {} or any(.matchExpressions[]; . == {key: "hostfit.dev/host-profile", operator: "NotIn", values: ["rhel94-k514"]}))) | all' "$SCRATCH/once"
}
check "in every term that demands anything" every_term
uninstall
