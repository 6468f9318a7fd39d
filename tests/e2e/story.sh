#!/usr/bin/env bash
# The story: what Hostfit does, the command, what came back. Every step is checked; the first that is not as told ends it.
# Needs the environment of tests/e2e/cluster.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/e2e/kit.sh

NS=shop
say "1  A cluster, and in it two pools of three nodes that nothing runs on: RHEL 9.4 and Amazon Linux 2"
make_pools
push_images
create_namespace "$NS"
for name in web quiet fast; do run_workload "early-$name" "$REGISTRY/shop/$name:1" rhel9; done
# The line of what was said last that holds these words.
line_of() { grep -m 1 -- "$1" "$OUTPUT" | sed 's/^ *//'; }
check "without a cluster: an image on an older CPU" hostfit 1 check image "$REGISTRY/shop/fast:1" --host builtin/x86-64-v2
tell "hostfit check image shop/fast:1 --host builtin/x86-64-v2: $(line_of HF101)"
check "with nothing installed: the workloads on these nodes" hostfit 1 check -n "$NS"
tell "with nothing installed, hostfit check -n shop: $(line_of ' pass, ')"

say "2  Install: no cert-manager, no DaemonSet, no right to read Secrets of others"
started=$(now)
tell "\$ helm install hostfit charts/hostfit -n hostfit --create-namespace --wait --set image.repository=REGISTRY/hostfit …"
comes_up() { helm install hostfit charts/hostfit -n hostfit --create-namespace --wait --timeout "${READY_WITHIN}s" "${VALUES[@]}"; }
check "ready in $READY_WITHIN s" comes_up
ready=$(since "$started")
# In a user's cluster there may be problems that are not ours.
is_well() { hostfit 0 doctor || [ -z "$CONTEXT" ]; }
eventually 30 "nothing is wrong with it" is_well
tell "ready after $ready s; hostfit doctor: $(line_of problem)"

say "3  Profiles of the nodes, their labels, and reports on what already ran"
installed=$(now)
eventually 30 "host profiles" has_profiles rhel94-k514 amzn2-k510
eventually 30 "node labels" node_label_is pool=amzn2 hostfit.dev/host-profile amzn2-k510
eventually 30 "report on early-web" report_is deploy-early-web Pass
show "kubectl get hprof    ($(since "$installed") s later)" kubectl get hprof

say "4  Pods are created in mode Warn"
eventually 30 "base images followed" base_is_ready rhel6
pod fits shop/web:1 rhel9
check "fits is admitted with Pass" annotation_is fits verdict Pass
tell "fits: $(annotations fits)"
pod legacy shop/legacy:1 rhel9
check "legacy warns HF501" warned HF501
tell "$(warnings)"
pod ledger shop/ledger:1 rhel9
check "ledger warns HF502" warned HF502
tell "$(warnings | head -n 1)"
run_workload ledger "$REGISTRY/shop/ledger:1" rhel9 2>"$OUTPUT"
check "a Deployment of it warns, too" grep -q '^Warning: shop/Deployment/ledger: container app stands on rhel 6.10; .* HF502$' "$OUTPUT"
pod arm shop/arm:1 rhel9
check "arm warns HF110" warned HF110
tell "$(warnings)"
eventually 60 "layers are read" profiles_of 3
pod quiet shop/quiet:1 rhel9
check "quiet warns HF501, by its files alone" warned HF501
check "quiet is annotated" annotation_is quiet findings HF501
tell "by its files alone: $(warnings)"
if has_private_registry; then
  pod secret "" rhel9 "$PRIVATE_REGISTRY/team/secret:1"
  check "secret warns HF901" warned HF901
  check "secret is Unknown" annotation_is secret verdict Unknown
  tell "$(warnings)"
  pull_secret
fi

say "5  The same from Enforce on, and with credentials for the private registry"
tell "\$ helm upgrade hostfit charts/hostfit -n hostfit --reuse-values --set mode=Enforce --set registry.pullSecrets=Listed …"
helm upgrade hostfit charts/hostfit -n hostfit --reuse-values --wait --timeout 120s --set mode=Enforce \
  --set registry.pullSecrets=Listed --set 'registry.listed={team-registry}' >/dev/null
eventually 30 "mode Enforce" refused ledger-2 shop/ledger:1 rhel9
tell "$(warnings | head -n 3)"
check "the message names image, host and code" grep -q 'HF502 container app stands on rhel 6.10; rhel94-k514 (3 nodes) is rhel 9.4' "$OUTPUT"
check "the message names a fix" grep -q 'fix: ' "$OUTPUT"
check "fast is refused, by its files alone" refused fast shop/fast:1 rhel9
check "and the message says so" grep -q 'HF101 container app needs CPU level x86-64-v3 (its program); rhel94-k514 (3 nodes) has v2' "$OUTPUT"
tell "by its files alone: $(warnings | grep 'HF101 container' | sed 's/^ *//')"
if has_private_registry; then
  eventually 30 "the private image is read" pod_is secret-2 "" rhel9 "$PRIVATE_REGISTRY/team/secret:1" Pass
  tell "secret-2: $(annotations secret-2)"
fi

say "6  Reports"
eventually 30 "report on ledger" report_is deploy-ledger Fail
show "kubectl get compat -A" kubectl get compat -A
show "kubectl get smx" kubectl get smx
show "kubectl get bimg" kubectl get bimg

check "explain tells why, and what to do" hostfit 1 explain -n "$NS" deploy/early-fast
check "with a command to accept it" grep -q 'hostfit except' "$OUTPUT"
check "it is accepted until a date" hostfit 0 except -n "$NS" deploy/early-fast HF101 --until +30d --reason "rebuilt next month" --apply
eventually 30 "and fails no more" report_is deploy-early-fast Warn
tell "hostfit except deploy/early-fast HF101 --until +30d --reason … --apply: now $(kubectl get compat -n "$NS" deploy-early-fast -o jsonpath='{.status.verdict}')"
check "the command line tells what other nodes would break" hostfit 0 plan -n "$NS" --from rhel94-k514 --to builtin/rhel-10 --same-machines
check "of the workloads that run there" line_of 'workloads run there'
tell "hostfit plan --from rhel94-k514 --to builtin/rhel-10 --same-machines: $(line_of 'workloads run there')"
declare_arm_pool
eventually 30 "a declared profile is a plan that the cluster watches" would_break
tell "kubectl get ccompat el9-on-arm: NEW-FAIL $(new_failures)"
kubectl delete hprof el9-on-arm >/dev/null

say "7  The Amazon Linux pool is upgraded; no pod is touched"
run_workload web-on-amazon "$REGISTRY/shop/web:1" amzn2 2>/dev/null
eventually 30 "report on web-on-amazon" report_is deploy-web-on-amazon Warn
upgraded=$(now)
upgrade_pool
eventually 30 "profile of the new pool" has_profiles amzn2023-k61
eventually 30 "labels of the new pool" node_label_is pool=amzn2 hostfit.dev/host-profile amzn2023-k61
eventually 30 "report follows" report_is deploy-web-on-amazon Pass
tell "profile, labels and report followed in $(since "$upgraded") s: $(kubectl get nodes -L hostfit.dev/host-profile,hostfit.dev/kernel amzn2-1 --no-headers)"

say "8  Upgrade under load, then uninstall with the operator already gone"
load_start
helm upgrade hostfit charts/hostfit -n hostfit --reuse-values --wait --timeout 120s --set mode=Warn --set webhook.logLevel=warn >/dev/null
kubectl rollout restart deployment -n hostfit >/dev/null
kubectl rollout status deployment -n hostfit --timeout 120s >/dev/null
load_stop
check "no call failed or was skipped" load_was_clean
tell "$(load_result)"
kubectl scale deployment hostfit-operator -n hostfit --replicas 0 >/dev/null
kubectl wait --for=delete pod -n hostfit -l app.kubernetes.io/component=operator --timeout 60s >/dev/null
helm uninstall hostfit -n hostfit --wait --timeout 60s >/dev/null
eventually 40 "nothing is left" nothing_left
check "matrices stay" kubectl get smx default
helm install fit-two charts/hostfit -n hostfit --wait --timeout 90s "${VALUES[@]}" --set crds.install=false >/dev/null
tell "helm uninstall hostfit: nothing is left; installed again under another name"
helm uninstall fit-two -n hostfit --wait --timeout 60s >/dev/null
clean_up
say "The end: $(since "$STARTED") s"
