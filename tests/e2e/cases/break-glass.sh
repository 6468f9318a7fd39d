#!/usr/bin/env bash
# Break-glass: one command stops all judging at once, and nobody undoes it; another one does it for one namespace.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
NS=break-glass
make_pools
push_images
create_namespace "$NS"
install --set mode=Enforce --set matrix.spec.namespaceOverrides=Any
eventually 60 "profiles are observed" has_profiles rhel94-k514
eventually 30 "base images followed" base_is_ready rhel6
eventually 30 "ledger is refused" refused ledger shop/ledger:1 rhel9
documented() { check "docs/install.md tells the command" grep -qF "$1" docs/install.md; }

# One namespace, by its label.
documented 'hostfit.dev/mode=off'
kubectl label namespace "$NS" hostfit.dev/mode=off >/dev/null
is_let_in() { pod "$1" shop/ledger:1 rhel9; }
eventually 20 "it is let in, at the label's word" is_let_in labelled
check "and nothing is said" test -z "$(warnings)"
create_namespace "$NS-not"
elsewhere() { ! pod_json ledger "$REGISTRY/shop/ledger:1" rhel9 | kubectl create -n "$NS-not" -f - >/dev/null 2>&1; }
check "elsewhere it is refused as before" elsewhere
eventually 30 "reports go on" report_is pod-labelled Fail
kubectl label namespace "$NS" hostfit.dev/mode- >/dev/null
eventually 20 "without the label it is refused again" refused ledger shop/ledger:1 rhel9

# Everywhere, by the configurations. They are not brought back: not by the operator, and not by its next start.
documented 'kubectl delete validatingwebhookconfiguration,mutatingwebhookconfiguration hostfit'
kubectl delete validatingwebhookconfiguration,mutatingwebhookconfiguration hostfit >/dev/null
eventually 10 "it is let in" is_let_in everywhere
kubectl rollout restart deployment/hostfit-operator -n hostfit >/dev/null
kubectl rollout status deployment/hostfit-operator -n hostfit --timeout 90s >/dev/null
sleep 10
gone() { [ -z "$(kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o name | grep hostfit)" ]; }
check "nobody brings the configurations back" gone
check "it is still let in" is_let_in later
eventually 30 "reports go on without them" report_is pod-later Fail
helm upgrade hostfit charts/hostfit -n hostfit --reuse-values --wait --timeout 90s >/dev/null
eventually 30 "the next upgrade does" refused ledger shop/ledger:1 rhel9
kubectl delete namespace "$NS-not" --wait=false >/dev/null
uninstall
