#!/usr/bin/env bash
# The node agent on the real node: what it reads counts, with its source; people override it; it may write of its own node only.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
NS=agent
make_pools
push_images
create_namespace "$NS"
NODE=$(kubectl get nodes -o json | jq -r '[.items[] | select(.metadata.labels.pool | not)][0].metadata.name')
OTHER=amzn2-1

profile() { kubectl get nprof "$1" -o json | jq -e "$2"; }
host_profile() { kubectl get nprof "$NODE" -o jsonpath='{.status.hostProfileName}'; }
class() { kubectl get hprof "$(host_profile)" -o json | jq -e "$1"; }
of_class() { [ "$(kubectl get node "$NODE" -o json | jq -r ".metadata.labels[\"hostfit.dev/$1\"]")" = "$2" ]; }

# Without an agent: the node's status only, and what is missing is named.
install
eventually 30 "each node has a profile" profile "$NODE" '.status.facts.kernel and .status.sources.kernel == "NodeStatus" and .status.facts.cgroup == null'
check "which the node owns" profile "$NODE" '.metadata.ownerReferences | length == 1 and .[0].kind == "Node"'
check "and which says what is missing" profile "$NODE" 'any(.status.conditions[]; .type == "FactsComplete" and .status == "False" and (.message | contains("cgroup")))'
before=$(host_profile)

# With it. /usr/lib, /boot and /sys are on every machine.
helm upgrade hostfit charts/hostfit -n hostfit --wait --timeout 180s --reuse-values --set agent.enabled=true >/dev/null
# No kubelet runs pods of fake nodes.
agent=$(kubectl get pods -n hostfit -l app.kubernetes.io/component=agent --field-selector "spec.nodeName=$NODE" -o jsonpath='{.items[0].metadata.name}')
agent_runs() { [ "$(kubectl get pod -n hostfit "$agent" -o jsonpath='{.status.phase}')" = Running ]; }
eventually 30 "the agent runs" agent_runs
eventually 30 "what it read counts" profile "$NODE" '.status | .facts.cgroup and .facts.pageSize and .facts.architecture == "amd64" and .facts.cpuLevel and .sources.cgroup == "Agent"'
eventually 30 "and makes the class of the node" class '.status | .facts.cgroup and .facts.cpuLevel and .sources.cgroup == "Agent" and .sources.cpuLevel == "Agent" and (.claimed // []) == []'
check "which keeps its name" test "$(host_profile)" = "$before"
cgroup=$(kubectl get nprof "$NODE" -o jsonpath='{.status.facts.cgroup}')
eventually 20 "the node is labelled" of_class cgroup "$cgroup"
check "kernel and system are the same, whoever tells them" profile "$NODE" '[.status.conditions[] | select(.type == "FactsAgree")] | length == 1 and (.[0].message | test("kernel|os") | not)'

# People know better, and take it back.
kubectl patch nprof "$NODE" --type=merge -p '{"spec": {"overrides": {"cgroup": '"$((3 - cgroup))"', "libseccomp": "2.5.4"}}}' >/dev/null
eventually 20 "an override wins" profile "$NODE" ".status | .facts.cgroup == $((3 - cgroup)) and .sources.cgroup == \"Override\" and .facts.libseccomp == \"2.5.4\""
eventually 20 "in the class, too" class ".status.facts.cgroup == $((3 - cgroup)) and .status.sources.cgroup == \"Override\""
kubectl patch nprof "$NODE" --type=merge -p '{"spec": {"overrides": null}}' >/dev/null
eventually 20 "without it the agent counts again" profile "$NODE" ".status | .facts.cgroup == $cgroup and .sources.cgroup == \"Agent\" and .facts.libseccomp == null"
kubectl patch nprof "$NODE" --type=merge -p '{"spec": {"overrides": {"kernel": "new"}}}' >/dev/null
eventually 20 "an override that cannot be read is told" profile "$NODE" 'any(.status.conditions[]; .type == "Ready" and .status == "False" and .reason == "UnreadableOverride")'
kubectl patch nprof "$NODE" --type=merge -p '{"spec": {"overrides": null}}' >/dev/null

# With the token of the agent's own pod: its own node's, its own part, and nothing else.
uid=$(kubectl get pod -n hostfit "$agent" -o jsonpath='{.metadata.uid}')
token=$(kubectl create token hostfit-agent -n hostfit --bound-object-kind Pod --bound-object-name "$agent" --bound-object-uid "$uid")
unbound=$(kubectl create token hostfit-agent -n hostfit)
# as TOKEN NODE STATUS
as() {
  kubectl config view --raw -o json --minify | jq --arg token "$1" '.users = [{name: "agent", user: {token: $token}}] | .contexts[0].context.user = "agent"' >"$SCRATCH/agent.kubeconfig"
  # Not "patch": that reads the status first, which an agent need not.
  jq -n --arg name "$2" --argjson status "$3" '{apiVersion: "hostfit.dev/v1alpha1", kind: "NodeProfile", metadata: {name: $name}, status: $status}' |
    kubectl --kubeconfig "$SCRATCH/agent.kubeconfig" apply --server-side --force-conflicts --field-manager=somebody --subresource=status --validate=false -f -
}
check "an agent may write what it read" as "$token" "$NODE" '{"agent": {"version": "test", "facts": {"fips": true}}}'
check "but not of another node" fails_with "the agent of node $NODE may write no other NodeProfile" as "$token" "$OTHER" '{"agent": {"version": "test", "facts": {"cgroup": 1}}}'
check "and not what the operator writes" fails_with "status.agent and nothing else" as "$token" "$NODE" '{"hostProfileName": "rhel94-k514"}'
check "nor without naming its node" fails_with "must name its node" as "$unbound" "$NODE" '{"agent": {"version": "test", "facts": {"cgroup": 1}}}'
check "nor in the spec" fails_with 'cannot patch resource "nodeprofiles"' kubectl --kubeconfig "$SCRATCH/agent.kubeconfig" patch nprof "$NODE" --type=merge -p '{"spec": {"overrides": {"cgroup": 1}}}'

# A new pod reads again, and ends when it is told to.
ended=$(now)
kubectl delete pod -n hostfit "$agent" --timeout 30s >/dev/null
check "an agent ends at once" test "$(since "$ended")" -lt 8
eventually 40 "what was written for it is put right" profile "$NODE" '.status.agent.version != "test" and .status.facts.fips != true'

# An agent that is not believed fills gaps, and what rests on it is named.
helm upgrade hostfit charts/hostfit -n hostfit --wait --timeout 90s --reuse-values --set facts.trustAgent=false >/dev/null
eventually 40 "what only the agent tells is claimed" class '.status.claimed | index("cgroup") and (index("kernel") | not)'

# A kind of somebody else comes while everything runs.
kubectl apply -f - >/dev/null <<'CRD'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: nodefeatures.nfd.k8s-sigs.io, annotations: {api-approved.kubernetes.io: "https://github.com/kubernetes/enhancements"}}
spec:
  group: nfd.k8s-sigs.io
  scope: Namespaced
  names: {kind: NodeFeature, plural: nodefeatures, singular: nodefeature, listKind: NodeFeatureList}
  versions: [{name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
CRD
kubectl wait --for condition=established --timeout 20s crd/nodefeatures.nfd.k8s-sigs.io >/dev/null
kubectl apply -n "$NS" -f - >/dev/null <<FEATURE
{"apiVersion": "nfd.k8s-sigs.io/v1alpha1", "kind": "NodeFeature",
 "metadata": {"name": "$OTHER", "labels": {"nfd.node.kubernetes.io/node-name": "$OTHER"}},
 "spec": {"features": {"flags": {"cpu.cpuid": {"elements": {"X86_64_V1": {}, "X86_64_V2": {}}}}}}}
FEATURE
eventually 90 "NodeFeatures are found when they are installed" profile "$OTHER" '.status.facts.cpuLevel == 2 and .status.sources.cpuLevel == "NodeFeature"'
kubectl delete crd nodefeatures.nfd.k8s-sigs.io --timeout 30s >/dev/null
eventually 30 "and gone with them" profile "$OTHER" '.status.facts.cpuLevel == null'

# Switched off, what agents read once does not count any more.
helm upgrade hostfit charts/hostfit -n hostfit --wait --timeout 180s --reuse-values --set agent.enabled=false >/dev/null
eventually 40 "facts of agents that are gone do not count" profile "$NODE" '.status.facts.cgroup == null and .status.sources.kernel == "NodeStatus"'
uninstall
