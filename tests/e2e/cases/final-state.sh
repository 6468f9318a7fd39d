#!/usr/bin/env bash
# What has become of a pod is judged, not what its author wrote: others may change it after we have seen it.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
NS=final-state
make_pools
push_images
create_namespace "$NS"
install --set mode=Enforce
eventually 60 "profiles are observed" has_profiles rhel94-k514 amzn2-k510
eventually 30 "base images followed" base_is_ready rhel6
eventually 30 "what does not fit is refused" refused ledger shop/ledger:1 rhel9

# late IMAGE: it changes pods once /mutate has judged them, so in the second round only.
late() {
  kubectl apply -f - >/dev/null <<END
apiVersion: admissionregistration.k8s.io/v1beta1
kind: MutatingAdmissionPolicy
metadata: {name: late}
spec:
  failurePolicy: Fail
  reinvocationPolicy: IfNeeded
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: $NS}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  mutations:
    - patchType: JSONPatch
      jsonPatch:
        expression: >-
          has(object.metadata.annotations) && 'hostfit.dev/verdict' in object.metadata.annotations
          ? [JSONPatch{op: 'replace', path: '/spec/containers/0/image', value: '$1'}] : []
---
apiVersion: admissionregistration.k8s.io/v1beta1
kind: MutatingAdmissionPolicyBinding
metadata: {name: late}
spec: {policyName: late}
END
}
late "$REGISTRY/shop/ledger:1"
eventually 30 "a pod that fitted is refused" refused changed shop/web:1 rhel9
check "for what it has become" grep -q HF502 "$OUTPUT"
late "$REGISTRY/shop/web:1"
eventually 30 "one that did not is let in" pod mended shop/ledger:1 rhel9
image_is() { [ "$(kubectl get pod -n "$NS" "$1" -o jsonpath='{.spec.containers[0].image}')" = "$2" ]; }
check "as what it has become" image_is mended "$REGISTRY/shop/web:1"
check "and its annotation tells of that" annotation_is mended verdict Pass
kubectl delete mutatingadmissionpolicy,mutatingadmissionpolicybinding late >/dev/null
uninstall
