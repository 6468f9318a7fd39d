#!/usr/bin/env bash
# The certificate of the webhook: renewed under load, put back when somebody breaks it, gone with the release.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
NS=certificates
make_pools
push_images
create_namespace "$NS"
install
eventually 30 "the matrix" kubectl get smx default
pod first shop/legacy:1 rhel9
check "the webhook answers" warned HF501

serial() { kubectl get secret hostfit-webhook-tls -n hostfit -o jsonpath="{.data.$1}" | base64 -d | openssl x509 -noout -serial; }
bundle() { kubectl get "$1" hostfit -o jsonpath='{.webhooks[0].clientConfig.caBundle}'; }
differs() { local now; now=$(serial "$1") && [ "$now" != "$2" ]; }

# Certificates that live for a minute, from an authority that lives for a minute and a half.
kubectl set env deployment/hostfit-operator -n hostfit HOSTFIT_LEAF_LIFETIME=60s HOSTFIT_CA_LIFETIME=90s >/dev/null
kubectl rollout status deployment/hostfit-operator -n hostfit --timeout 60s >/dev/null
load_start
leaf=$(serial 'tls\.crt')
kubectl delete secret hostfit-webhook-tls -n hostfit >/dev/null
eventually 20 "a lost Secret is made again" differs 'tls\.crt' "$leaf"
leaf=$(serial 'tls\.crt') authority=$(serial 'ca\.crt')
eventually 60 "the leaf is renewed" differs 'tls\.crt' "$leaf"
eventually 60 "the authority is renewed" differs 'ca\.crt' "$authority"
sleep 10
load_stop
check "no call failed or was skipped while all of them were renewed" load_was_clean
tell "$(load_result)"

# Somebody wipes the bundle.
wanted=$(bundle validatingwebhookconfiguration)
kubectl patch validatingwebhookconfiguration hostfit --type=json -p '[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]' >/dev/null
restored() { [ -n "$(bundle validatingwebhookconfiguration)" ] && [ "$(bundle validatingwebhookconfiguration)" = "$(bundle mutatingwebhookconfiguration)" ]; }
check "there was a bundle" test -n "$wanted"
eventually 10 "the bundle is back within 10 s" restored

# Somebody writes garbage.
kubectl patch secret hostfit-webhook-tls -n hostfit -p '{"data": {"tls.crt": "Z2FyYmFnZQ=="}}' >/dev/null
leaf_is_whole() { serial 'tls\.crt'; }
eventually 15 "a leaf of garbage is issued again" leaf_is_whole
pod again shop/legacy:1 rhel9
check "the webhook still answers" warned HF501

# Deleting the configurations is how people switch Hostfit off: they stay deleted.
kubectl delete validatingwebhookconfiguration,mutatingwebhookconfiguration hostfit >/dev/null
sleep 12
check "what was switched off stays off" test -z "$(kubectl get validatingwebhookconfiguration,mutatingwebhookconfiguration -o name)"
pod silent shop/legacy:1 rhel9
check "nothing is said any more" test "$(grep -c Warning "$OUTPUT")" = 0
uninstall
