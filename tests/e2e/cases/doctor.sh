#!/usr/bin/env bash
# A real install, broken in twelve ways: doctor finds each, and names the fix.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
NS=doctor

hostfit() { $CONTEXT "$HOSTFIT" "$@"; }
# told STATE SECTION WORDS: doctor says so, and what to do; with a problem it ends with 1.
told() {
  local code=0
  hostfit doctor -o json >"$SCRATCH/doctor" || code=$?
  jq -e --arg state "$1" --arg section "$2" --arg words "$3" '[.checks[] | select(.state == $state and (.docs | endswith("#" + $section))
    and (.says | contains($words)) and (.fix | length > 10))] | length > 0' "$SCRATCH/doctor" >/dev/null || { jq -c '.checks[] | select(.state != "Fine")' "$SCRATCH/doctor"; return 1; }
  if [ "$1" = Problem ]; then [ "$code" = 1 ]; fi
}
healthy() { hostfit doctor >"$SCRATCH/healthy" || { cat "$SCRATCH/healthy"; return 1; }; }
scale() { # COMPONENT REPLICAS
  kubectl scale "deployment/hostfit-$1" -n hostfit --replicas "$2" >/dev/null
  [ "$2" != 0 ] || kubectl wait --for=delete pod -n hostfit -l "app.kubernetes.io/component=$1" --timeout 60s >/dev/null
  kubectl rollout status "deployment/hostfit-$1" -n hostfit --timeout 60s >/dev/null
}
# The kubelet may take a minute to bring a changed Secret.
well_again() { eventually 120 "doctor finds nothing more" healthy; }
# filtered KIND NAME FILTER
filtered() { kubectl get "$1" "$2" -o json | jq "$3" | kubectl replace -f - >/dev/null; }
# helm_test WORDS: helm test runs doctor in the cluster, and its log says so.
helm_test() {
  helm test hostfit -n hostfit --timeout 120s --logs >"$SCRATCH/test" 2>&1 || echo "helm test failed" >>"$SCRATCH/test"
  grep -qF -- "$1" "$SCRATCH/test" || { cat "$SCRATCH/test"; return 1; }
}
nothing_of_the_test() { [ -z "$(kubectl get pod,serviceaccount,role,rolebinding,clusterrole,clusterrolebinding -A -l app.kubernetes.io/component=test -o name)" ]; }

make_pools
push_images
create_namespace "$NS"
check "before an install, doctor lets it be installed" hostfit doctor --pre
install
eventually 60 "doctor waits until all is well" hostfit doctor --wait 60s
tell "$(hostfit doctor)"
check "it says that the webhook answers" grep -q "answers through the API server: [0-9]* ms" <(hostfit doctor)
check "helm test runs it in the cluster" helm_test "0 problems, "
check "which may look at everything" test "$(grep -c 'you may not' "$SCRATCH/test")" = 0
eventually 40 "and leaves nothing" nothing_of_the_test

say "  1 no CA bundle"
scale operator 0
check "an operator that is not there is found" told Problem operator "scaled to 0"
check "helm test says so, too" helm_test "scaled to 0"
eventually 40 "and leaves nothing" nothing_of_the_test
kubectl patch validatingwebhookconfiguration hostfit --type=json -p '[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]' >/dev/null
check "no CA bundle" told Problem ca-bundle "no CA bundle in webhook configuration hostfit"

say "  2 a wrong certificate"
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=somebody -keyout "$SCRATCH/key" -out "$SCRATCH/other" 2>/dev/null
for kind in validatingwebhookconfiguration mutatingwebhookconfiguration; do
  filtered "$kind" hostfit ".webhooks |= map(.clientConfig.caBundle = \"$(base64 -w0 <"$SCRATCH/other")\")"
done
check "a wrong certificate" told Problem certificate "does not match the CA bundle"
check "and the API server gets no answer" told Problem unreachable "does not get an answer"
scale operator 1
well_again

say "  3 a webhook that cannot be reached"
scale webhook 0
check "no pods" told Problem unreachable "scaled to 0"
check "no address" told Problem unreachable "has no address that is ready"
scale webhook 2
well_again

say "  4 an expired certificate"
kubectl set env deployment/hostfit-operator -n hostfit HOSTFIT_LEAF_LIFETIME=30s HOSTFIT_CA_LIFETIME=1h >/dev/null
kubectl rollout status deployment/hostfit-operator -n hostfit --timeout 60s >/dev/null
kubectl delete secret hostfit-webhook-tls -n hostfit >/dev/null
eventually 20 "another certificate" kubectl get secret hostfit-webhook-tls -n hostfit
scale operator 0
eventually 90 "an expired certificate" told Problem certificate-expired "has expired"
kubectl set env deployment/hostfit-operator -n hostfit HOSTFIT_LEAF_LIFETIME- HOSTFIT_CA_LIFETIME- >/dev/null
scale operator 1
well_again

say "  5 a CRD older than the program"
filtered crd compatreports.hostfit.dev 'del(.spec.versions[0].schema.openAPIV3Schema.properties.status.properties.lastChangeTime)'
check "a CRD without a field" told Problem crds "compatreports.hostfit.dev (status.lastChangeTime"
kubectl apply --server-side --force-conflicts -f crds/yaml >/dev/null
well_again

say "  6 a missing permission"
filtered clusterrole hostfit-operator '.rules |= map(.resources -= ["cronjobs"])'
check "a missing permission" told Problem rights "hostfit-operator: list cronjobs.batch"
helm upgrade hostfit charts/hostfit -n hostfit --wait --timeout 90s --force-conflicts "${VALUES[@]}" >/dev/null
well_again

say "  7 a registry that refuses"
run_workload secret "$PRIVATE_REGISTRY/team/secret:1" rhel9
eventually 60 "a registry that refuses" told Problem registries "refused access (HF901, used by $NS/secret)"
kubectl delete deployment secret -n "$NS" >/dev/null
well_again

say "  8 no CPU levels"
check "nodes without CPU levels" told Warning facts "CPU level unknown"
for node in $(kubectl get nodes -o jsonpath='{.items[*].metadata.name}'); do
  kubectl patch nprof "$node" --type=merge -p '{"spec": {"overrides": {"cpuLevel": 2}}}' >/dev/null
done
levels_known() { ! told Warning facts "CPU level unknown"; }
eventually 30 "levels that people state" levels_known

say "  9 a clock that is off"
ahead() {
  kubectl patch lease amzn2-1 -n kube-node-lease --type=merge -p "{\"spec\": {\"renewTime\": \"$(date -u -d '+1 hour' +%FT%T.000000Z)\"}}" >/dev/null
  told Problem clocks "clocks of nodes are off: amzn2-1"
}
eventually 30 "a node whose clock is ahead" ahead
well_again

say "  10 two releases"
helm install fit-two charts/hostfit -n elsewhere --create-namespace --wait --timeout 90s "${VALUES[@]}" --set crds.install=false --take-ownership >"$SCRATCH/notes"
check "Helm's notes tell of the other release" grep -qF "ANOTHER RELEASE IS HERE: hostfit (namespace hostfit)." "$SCRATCH/notes"
check "two releases" told Problem two-releases "elsewhere/fit-two"
helm uninstall fit-two -n elsewhere --wait --timeout 60s >/dev/null
kubectl delete namespace elsewhere --wait=false >/dev/null
well_again

say "  11 no SupportMatrix"
kubectl delete supportmatrix default >/dev/null
check "no SupportMatrix" told Warning matrices "there is no SupportMatrix"
kubectl rollout restart deployment/hostfit-operator -n hostfit >/dev/null
kubectl rollout status deployment/hostfit-operator -n hostfit --timeout 60s >/dev/null
well_again

say "  12 a program that ends"
kubectl set env deployment/hostfit-operator -n hostfit HOSTFIT_REGISTRY_DENY_NETWORKS=10.0.0.0/33 >/dev/null
eventually 60 "a new pod that ends, beside the old one" told Warning operator "hostfit-operator 1/1, and a new pod does not become ready; it ended with 2: invalid value '10.0.0.0/33'"
kubectl set env deployment/hostfit-operator -n hostfit HOSTFIT_REGISTRY_DENY_NETWORKS- >/dev/null
kubectl rollout status deployment/hostfit-operator -n hostfit --timeout 60s >/dev/null
well_again

uninstall
check "nothing installed" told Problem operator "not installed"
