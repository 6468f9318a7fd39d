#!/usr/bin/env bash
# Bad objects, nodes and values get an answer that names what, why and what to do; nothing is lost.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
NS=bad-input
make_pools
push_images
create_namespace "$NS"
check "a typo in a value is refused" fails_with mod helm template charts/hostfit --set mod=Enforce
check "a wrong value is refused" fails_with mode helm template charts/hostfit --set mode=Loud
install

# matrix SPEC : the default matrix with other rules
matrix() { kubectl patch smx default --type=merge -p "{\"spec\": $1}" >/dev/null; }
matrix_says() { kubectl get smx default -o jsonpath='{.status.conditions[?(@.type=="Ready")].message}' | grep -qF "$1"; }
row() { printf '{"rules": [{"name": "mine", "image": %s, "host": %s, "verdict": "Unsupported"}]}' "$1" "$2"; }
eventually 20 "the rules are loaded" matrix_says "rules loaded"
RULES=$(kubectl get smx default -o jsonpath='{.status.rules}')
matrix "$(row '{"distro": "rhel"}' '{"os": "rhel"}')"
eventually 20 "a good row is loaded" matrix_says "$((RULES + 1)) rules loaded"
# The webhook reads it by itself, a moment earlier or later than the operator.
row_speaks() { pod "mine-$(date +%s%N)" shop/web:1 rhel9 && warned HF506; }
eventually 10 "the good row warns" row_speaks
matrix "$(row '{"distroo": "rhel"}' '{}')"
# Counters may take ten seconds, what became of an edit may not.
eventually 5 "an unknown fact is named at once, with the nearest" matrix_says 'did you mean "distro"?'
# The last good state stays: the row still speaks.
pod still shop/web:1 rhel9
check "the last good row still warns" warned HF506
matrix "$(row '{"distroVersion": ">=10 <9"}' '{}')"
eventually 20 "an impossible range is named" matrix_says 'no version can be in ">=10 <9"'
matrix '{"rules": [{"name": "a", "image": {"distro": "rhel"}, "verdict": "Supported"}, {"name": "b", "image": {"distro": "rhel"}, "verdict": "Unsupported"}]}'
eventually 20 "contradicting rows are named" matrix_says 'rows "a" and "b" select the same pairs and contradict each other'
check "an unknown verdict is refused by the API server" fails_with 'Unsupported value' \
  kubectl patch smx default --type=merge -p '{"spec": {"rules": [{"name": "x", "image": {"distro": "rhel"}, "verdict": "Maybe"}]}}'
matrix '{"rules": []}'
eventually 20 "the matrix is ready again" matrix_says "$RULES rules loaded"

report_on() { [ "$(kubectl get ccompat "$1" -o jsonpath='{.status.conditions[?(@.type=="Ready")].reason}')" = "$2" ]; }
profile_says() { kubectl get hprof "$1" -o jsonpath='{.status.conditions[?(@.type=="Ready")].message}' | grep -qF "$2"; }
kubectl apply -f - >/dev/null <<'Y'
apiVersion: hostfit.dev/v1alpha1
kind: HostProfile
metadata: {name: no-facts}
spec: {nodeLabels: {pool: later}}
---
apiVersion: hostfit.dev/v1alpha1
kind: HostProfile
metadata: {name: odd-kernel}
spec: {nodeLabels: {pool: later}, facts: {os: rhel, osVersion: "9.4", kernel: new}}
---
apiVersion: hostfit.dev/v1alpha1
kind: HostProfile
metadata: {name: rhel10-later}
spec: {nodeLabels: {pool: later}, facts: {os: rhel, osVersion: "9.4", kernel: 5.14.0-427.el9_4.x86_64, architecture: amd64}}
Y
eventually 20 "a profile without facts says so" profile_says no-facts "declare spec.facts"
eventually 20 "its report says so, too" report_on no-facts NoFacts
eventually 20 "a fact that cannot be read is named" profile_says odd-kernel 'facts.kernel is "new"'
eventually 20 "a declared profile counts" pod_is later shop/web:1 later "$REGISTRY/shop/web:1" Pass

# What a person does with the profile of nodes, and with a repository.
base_with() { kubectl apply -f - <<<"{apiVersion: hostfit.dev/v1alpha1, kind: BaseImage, metadata: {name: bad}, spec: {repository: '$1', tags: ['1']}}"; }
check "a repository with a tag is refused by the API server" fails_with "without tag or digest" base_with "$REGISTRY/shop/web:1"
check "a repository with a digest is refused as well" fails_with "without tag or digest" base_with "a.example/web@sha256:$(printf 'd%.0s' {1..64})"
condition_says() { kubectl get "$1" "$2" -o jsonpath="{.status.conditions[?(@.type==\"$3\")].message}" | grep -qF "$4"; }
events_say() { kubectl get events -A --field-selector "reason=$1" -o name | grep -q .; }
kubectl get hprof rhel94-k514 -o json | jq 'del(.metadata.resourceVersion)' | kubectl apply -f - >/dev/null 2>&1
sleep 2
check "an observed profile that is applied as it is stays observed" [ "$(kubectl get hprof rhel94-k514 -o jsonpath='{.status.origin}')" = Observed ]
kubectl get hprof rhel94-k514 -o json | jq '.metadata = {name: "a-copy", labels: .metadata.labels}' | kubectl apply -f - >/dev/null
eventually 20 "a copy of it declares nothing, and an Event says so" events_say NothingDeclared
kubectl patch hprof rhel94-k514 --type=merge -p '{"spec": {"facts": {"os": "rhel", "osVersion": "9.4"}}}' >/dev/null
eventually 20 "who declares it is told what became of its nodes" condition_says hprof rhel94-k514 NameUnique "have HostProfile rhel94-k514-2 instead"
kubectl delete hprof rhel94-k514 rhel94-k514-2 >/dev/null
eventually 20 "the nodes have their name again" node_label_is pool=rhel9 hostfit.dev/host-profile rhel94-k514

# A node that tells nothing, and one that tells nonsense.
kubectl apply -f - >/dev/null <<'Y'
apiVersion: v1
kind: Node
metadata:
  name: odd-1
  labels: {pool: odd, nvidia.com/cuda.driver-version.full: latest, feature.node.kubernetes.io/cpu-cpuid.X86_64_V3: maybe, hostfit.dev/host-profile: rhel94-k514, hostfit.dev/cpu-level: "4"}
Y
eventually 30 "a node without facts has a profile of its own" node_label_is pool=odd hostfit.dev/host-profile unknown
eventually 30 "a label of ours that nothing bears out is taken off" node_label_is pool=odd hostfit.dev/cpu-level ""
pod odd shop/web:1 odd
check "what lands there is Unknown, never Pass" annotation_is odd verdict Unknown
kubectl delete node odd-1 >/dev/null
kubectl delete hprof no-facts odd-kernel rhel10-later >/dev/null

# References that lead nowhere, or where they must not.
for case in 'x.example/a:${TAG}=HF908' '169.254.169.254/latest:1=HF907' 'localhost:1/a:1=HF907' "$REGISTRY/no/such:1=HF906"; do
  pod "bad-$RANDOM" "" rhel9 "${case%=*}" || true
  check "${case%=*} gives ${case#*=}" warned "${case#*=}"
done
uninstall
