#!/usr/bin/env bash
# How images are reached: with the pull secrets of pods and service accounts, of the namespaces that the values name, and through
# mirrors.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
has_private_registry || exit 0
NS=pay
IMAGE=$PRIVATE_REGISTRY/team/secret:1

# login NAMESPACE NAME PASSWORD
login() {
  kubectl create secret docker-registry "$2" -n "$1" --docker-server="$PRIVATE_REGISTRY" \
    --docker-username="$PRIVATE_REGISTRY_USER" --docker-password="$3" >/dev/null
}
# judged VERDICT NAMESPACE POD IMAGE [SECRET…]   anew; what kubectl says is kept in $OUTPUT
judged() {
  kubectl delete pod -n "$2" "$3" --ignore-not-found --force --grace-period=0 >/dev/null 2>&1
  pod_json "$3" "$4" rhel9 | jq --args '.spec.imagePullSecrets = ($ARGS.positional | map({name: .}))' "${@:5}" |
    kubectl create -n "$2" -f - >"$OUTPUT" 2>&1
  NS=$2 annotation_is "$3" verdict "$1" || { cat "$OUTPUT"; return 1; }
}
may_list_secrets() { [ "$(kubectl auth can-i list secrets -n "$2" --as="system:serviceaccount:hostfit:hostfit-$1")" = "$3" ]; }

make_pools
push_images
create_namespace "$NS"
create_namespace other
install --set registry.pullSecrets=PodReferenced --set "registry.pullSecretNamespaces={$NS}" \
  --set-json "registry.mirrors={\"images.example.com\": [\"http://$REGISTRY\"]}"
eventually 60 "profiles are observed" has_profiles rhel94-k514

say "  pull secrets of pods"
eventually 20 "without a secret the registry refuses" judged Unknown "$NS" none "$IMAGE"
check "and the warning says so" grep -q 'HF901$' "$OUTPUT"
login "$NS" regcred "$PRIVATE_REGISTRY_PASSWORD"
login "$NS" outdated wrong-password
eventually 20 "with the pod's own secret it is read" judged Pass "$NS" own "$IMAGE" regcred
check "several are tried in turn" judged Pass "$NS" several "$IMAGE" outdated absent regcred
check "and a wrong one opens nothing" judged Unknown "$NS" wrong "$IMAGE" outdated
kubectl patch serviceaccount default -n "$NS" -p '{"imagePullSecrets": [{"name": "regcred"}]}' >/dev/null
eventually 20 "that of the service account counts for pods that name none" judged Pass "$NS" account "$IMAGE"
run_workload secret "$IMAGE" rhel9
eventually 60 "and for the reports of workloads" report_is deploy-secret Pass

say "  of the namespaces that the values name, and no other"
login other regcred "$PRIVATE_REGISTRY_PASSWORD"
check "elsewhere a secret is not read, nor what it opened shown" judged Unknown other own "$IMAGE" regcred
check "and the warning names it" grep -q 'other/regcred.*HF901$' "$OUTPUT"
for component in webhook operator; do
  check "the $component may list secrets there" may_list_secrets "$component" "$NS" yes
  check "the $component may list secrets nowhere else" may_list_secrets "$component" other no
done

say "  mirrors"
eventually 20 "an image is read from the mirror of its registry" judged Pass "$NS" mirrored images.example.com/shop/web:1
check "what neither has is not known" judged Unknown "$NS" absent images.example.com/shop/absent:1
kubectl delete namespace other --wait=false >/dev/null
uninstall
