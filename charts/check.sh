#!/usr/bin/env bash
# Checks the chart without a cluster: lints it, renders it with all its switches, and asks of the result what must
# always hold. All of it with the newest Helm and with the oldest that the docs promise.
#   check.sh          with helm and with helm3
#   check.sh HELM     with one of them
# Takes both, kubectl and jq from PATH.
set -euo pipefail

if [ $# -eq 0 ]; then
  failed=0
  for helm in helm helm3; do "$0" "$helm" || failed=1; done
  exit "$failed"
fi
HELM=$1
HERE=$(cd "$(dirname "$0")" && pwd -P)
CHART=$HERE/hostfit
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
# No cluster and no settings of the caller have a say.
export KUBECONFIG=$WORK/no-cluster HELM_NAMESPACE=
OLDEST=1.30.0
FAILED=0

say() { printf 'charts: %s\n' "$*" >&2; }
fail() {
  say "FAILED: $*"
  FAILED=1
}
for tool in "$HELM" kubectl jq; do
  command -v "$tool" >/dev/null || { say "$tool is missing"; exit 2; }
done

helm() { command "$HELM" "$@"; }

# template RELEASE CHART ARGUMENTS… writes YAML
template() { helm template "$1" "$2" --namespace checked --kube-version "$OLDEST" "${@:3}"; }

# rendered NAME ARGUMENTS… keeps the objects of release "hostfit" as $WORK/NAME.json
rendered() {
  if ! template "${RELEASE:-hostfit}" "${FROM:-$CHART}" "${@:2}" >"$WORK/$1.yaml" 2>"$WORK/errors"; then
    fail "$1 does not render: $(cat "$WORK/errors")"
    echo '[]' >"$WORK/$1.json"
    return
  fi
  # Of all of kubectl, only what works on local files needs no server.
  if [ -s "$WORK/$1.yaml" ]; then
    kubectl label --local -f "$WORK/$1.yaml" checked=yes -o json | jq -s . >"$WORK/$1.json"
  else
    echo '[]' >"$WORK/$1.json"
  fi
}

# holds NAME SENTENCE FILTER: asks whether FILTER is true of the objects; answered by `answers`, as starting jq is slow
holds() {
  printf '["%s", (try ([%s] | if length > 0 and last then null else "" end) catch .)],\n' "$2" "$3" >>"$WORK/$1.questions"
}

answers() {
  local name wrong
  for name in "$WORK"/*.questions; do
    name=$(basename "$name" .questions)
    wrong=$(jq -r "$WORDS [$(cat "$WORK/$name.questions") empty] | .[] | select(.[1] != null) | join(\" \")" "$WORK/$name.json") ||
      fail "$name: the questions are no jq"
    [ -z "$wrong" ] || while read -r line; do fail "$name: $line"; done <<<"$wrong"
  done
}

# refused PATTERN ARGUMENTS… Helm refuses the values and says why
refused() {
  if template hostfit "${FROM:-$CHART}" "${@:2}" >/dev/null 2>"$WORK/errors"; then
    fail "taken, but should be refused: ${*:2}"
  elif ! grep -Eq -- "$1" "$WORK/errors"; then
    fail "refused, but does not say \"$1\": ${*:2}: $(cat "$WORK/errors")"
  fi
}

# Words for the filters below.
# shellcheck disable=SC2016 # the $ are jq's
WORDS='
def kind($k): .[] | select(.kind == $k);
def named($k; $n): [kind($k) | select(.metadata.name == $n)] | if length == 1 then .[0] else error("\(length) of \($k) \($n)") end;
def count($k): [kind($k)] | length;
def pods: kind("Deployment").spec.template;
def webhooks: kind("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration").webhooks[];
def rules: kind("Role", "ClusterRole").rules[];
def env($deployment; $name): [named("Deployment"; $deployment).spec.template.spec.containers[0].env[] | select(.name == $name) | .value] | if length > 1 then error("twice") else .[0] end;
def of_pods: .metadata.name | endswith("-pull-secrets");
def of_test: .metadata.name | endswith("-test");
def defaults: kind("ConfigMap").data["defaults.yaml"] // empty;
'

# What holds of every rendering.
always() {
  holds "$1" "sets a caBundle, which is the operator's" '[.. | objects | has("caBundle")] | any | not'
  holds "$1" "has a wildcard in its rights" '[rules | .apiGroups[], .resources[], .verbs[] | select(contains("*"))] == []'
  holds "$1" "may do more with Secrets than get and apply its own" '
    [kind("ClusterRole").rules[] | select(.resources | index("secrets"))] == []
    and ([kind("Role") | select(of_pods | not) | .rules[] | select(.resources | index("secrets"))] | length > 0 and all(
      .resources == ["secrets"] and (.resourceNames | length) == 1 and (.resourceNames[0] | endswith("-webhook-tls")) and (.verbs - ["get", "patch", "create"]) == []))'
  holds "$1" "does more with the pull secrets of pods than to list and watch them" '
    [kind("Role") | select(of_pods) | .rules] | all(. == [{apiGroups: [""], resources: ["secrets", "serviceaccounts"], verbs: ["list", "watch"]}])'
  holds "$1" "lets the webhook write" '
    [kind("RoleBinding", "ClusterRoleBinding") | select(any(.subjects[]; .name | endswith("-webhook"))) | .roleRef.name] as $bound
    | ($bound | map(select(endswith("-pull-secrets") | not)) | length) == 1 and [kind("Role", "ClusterRole") | select(.metadata.name | IN($bound[])) | .rules[].verbs[]] - ["get", "list", "watch"] == []'
  holds "$1" "lets the operator touch webhook configurations other than its own" '
    kind("ValidatingWebhookConfiguration").metadata.name as $own
    | [kind("Role", "ClusterRole") | select(of_test | not) | .rules[] | select(.apiGroups == ["admissionregistration.k8s.io"])] | length == 1 and all(.resourceNames == [$own] and .verbs == ["get", "patch"])'
  holds "$1" "lets helm test write, but for what only asks, or keeps anything afterwards" '
    [.[] | select(of_test)] | ([.[].rules // [] | .[] | select(.verbs - ["get", "list"] != []) | .resources[]] - ["subjectaccessreviews", "pods"]) == []
    and all(.metadata.annotations["helm.sh/hook"] == "test" and (.metadata.annotations["helm.sh/hook-delete-policy"] | contains("hook-succeeded,hook-failed")))'
  holds "$1" "has a test that the restricted standard refuses" 'kind("Pod").spec | .securityContext.runAsNonRoot and .containers[0].securityContext.capabilities == {drop: ["ALL"]}'
  holds "$1" "judges its own namespace" '[webhooks | .namespaceSelector.matchExpressions[0] | .operator == "NotIn" and .key == "kubernetes.io/metadata.name" and any(.values[]; . == "checked")] | length == 6 and all'
  holds "$1" "lets two webhooks validate a new pod, or none" '[webhooks | select(.clientConfig.service.path == "/validate" and .rules[0].resources == ["pods"]) | [.name, .namespaceSelector.matchExpressions[1:], .objectSelector]]
    == [["pods.hostfit.dev", [{key: "hostfit.dev/mode", operator: "NotIn", values: ["enforce"]}], null], ["enforced.hostfit.dev", [{key: "hostfit.dev/mode", operator: "In", values: ["enforce"]}], null]]
    and ([webhooks | .namespaceSelector.matchExpressions | length] | add) == 8'
  holds "$1" "matches more than pods, their ephemeral containers, and templates" '
    [webhooks.rules[] | .apiGroups[0] as $group | .resources[] | "\($group)/\(.)"] | unique == ["/pods", "/pods/ephemeralcontainers",
      "apps/daemonsets", "apps/deployments", "apps/replicasets", "apps/statefulsets", "batch/cronjobs", "batch/jobs"]'
  holds "$1" "changes anything but pods when they are created" '[kind("MutatingWebhookConfiguration").webhooks[].rules[] | [.resources, .operations]] == [[["pods"], ["CREATE"]]]'
  holds "$1" "asks of every update, or of creations by a condition of ours" '
    [webhooks | {name, operations: ([.rules[].operations[]] | unique), own: ([.matchConditions // [] | .[].name | select(startswith("hostfit.dev/"))] | length)}]
    | all(.own == (if .operations == ["UPDATE"] then 1 elif .operations == ["CREATE"] then 0 else null end))'
  holds "$1" "lets templates fail closed" '[webhooks | select(.name | IN("templates.hostfit.dev", "template-updates.hostfit.dev")) | .failurePolicy] == ["Ignore", "Ignore"]'
  holds "$1" "has webhooks that are not as agreed" '
    [webhooks | (.name | IN("pods.hostfit.dev", "enforced.hostfit.dev", "updates.hostfit.dev", "templates.hostfit.dev", "template-updates.hostfit.dev")) and .sideEffects == "None" and .matchPolicy == "Equivalent" and .admissionReviewVersions == ["v1"] and .clientConfig.service.port == 443] | all'
  holds "$1" "sends webhooks to a Service that it does not bring" '. as $all | [webhooks.clientConfig.service] | all(. as $s | any($all | kind("Service"); .metadata | .name == $s.name and .namespace == $s.namespace))'
  holds "$1" "has pods that the restricted standard refuses" '
    [pods.spec | .securityContext.runAsNonRoot and .securityContext.seccompProfile.type == "RuntimeDefault" and (.containers[0].securityContext
      | .allowPrivilegeEscalation == false and .readOnlyRootFilesystem and .runAsNonRoot and .capabilities == {drop: ["ALL"]})] | length == 2 and all'
  holds "$1" "has a CPU limit, or a memory limit that is not the request" '[pods.spec.containers[0].resources | .limits == {memory: .requests.memory}] | all'
  holds "$1" "has selectors that do not select its pods" '
    [kind("Deployment") | .spec.selector.matchLabels as $want | .spec.template.metadata.labels | contains($want)] | all'
  holds "$1" "has a Service or a budget that selects other pods than the webhook's" '
    named("Deployment"; (kind("Deployment").metadata.name | select(endswith("-webhook")))).spec.selector.matchLabels as $webhook
    | [kind("Service").spec.selector, kind("PodDisruptionBudget").spec.selector.matchLabels] | all(. == $webhook)'
  holds "$1" "mounts a volume that it does not have" '[pods.spec | ([.containers[0].volumeMounts[].name] | sort) == ([.volumes[].name] | sort)] | all'
  holds "$1" "mounts a ConfigMap that it does not bring" '[pods.spec.volumes[].configMap.name | values] - [kind("ConfigMap").metadata.name] == []'
  holds "$1" "runs as an account that it does not bring" '[pods.spec.serviceAccountName] - [kind("ServiceAccount").metadata.name] == []'
  holds "$1" "has the same name twice" '(map([.kind, .metadata.namespace, .metadata.name]) | unique | length) == length'
  holds "$1" "has objects without the usual labels" 'map(select(.metadata.name | startswith("extra") or endswith("-extra-string") | not) | .metadata.labels | has("app.kubernetes.io/name") and has("app.kubernetes.io/instance") and has("helm.sh/chart")) | all'
}

helm lint --strict "$CHART" >"$WORK/errors" 2>&1 || fail "lint: $(cat "$WORK/errors")"
rendered defaults
always defaults
for values in "$CHART"/ci/*-values.yaml; do
  name=$(basename "$values" -values.yaml)
  helm lint --strict "$CHART" --values "$values" >"$WORK/errors" 2>&1 || fail "lint $name: $(cat "$WORK/errors")"
  rendered "$name" --values "$values"
  always "$name"
done

# The defaults are safe.
holds defaults "is not open on failure, with small timeouts" '
  named("MutatingWebhookConfiguration"; "hostfit").webhooks[0].timeoutSeconds == 2 and named("ValidatingWebhookConfiguration"; "hostfit").webhooks[0].timeoutSeconds == 3
  and ([webhooks.failurePolicy] | unique) == ["Ignore"]'
holds defaults "judges kube-system" '[webhooks.namespaceSelector.matchExpressions[0].values | index("kube-system", "kube-node-lease")] | all'
holds defaults "tells the operator of other namespaces than the webhooks" 'env("hostfit-operator"; "HOSTFIT_EXCLUDED_NAMESPACES") == "checked,kube-system,kube-node-lease"'
holds defaults "brings objects of its own CRDs" '[.[] | select(.apiVersion | startswith("hostfit.dev"))] == []'
holds defaults "has no default SupportMatrix, or not before the BaseImages" 'defaults | test("^---\napiVersion: hostfit.dev/v1alpha1\nkind: SupportMatrix\n(?s).*mode: Warn\n.*kind: BaseImage\n")'
holds defaults "runs one webhook pod only" 'named("Deployment"; "hostfit-webhook").spec | .replicas == 2 and .strategy.rollingUpdate == {maxUnavailable: 0, maxSurge: 1}'
holds defaults "has a budget that can block a drain" 'kind("PodDisruptionBudget").spec | .maxUnavailable == 1 and .unhealthyPodEvictionPolicy == "AlwaysAllow"'
holds defaults "does not wait for the certificate" 'named("Deployment"; "hostfit-webhook").spec.template.spec.volumes == [{name: "tls", secret: {secretName: "hostfit-webhook-tls", items: [{key: "tls.crt", path: "tls.crt"}, {key: "tls.key", path: "tls.key"}]}}]'
holds defaults "has switches on that are off" '(count("NetworkPolicy") == 0) and ([pods.spec.hostNetwork] | unique) == [null] and env("hostfit-webhook"; "HOSTFIT_REGISTRY_CREDENTIALS_DIR") == null'
holds defaults "has another image" '[pods.spec.containers[0] | .image, .command[0]] == ["ghcr.io/hostfit/hostfit:0.1.0", "/usr/bin/hostfit-operator", "ghcr.io/hostfit/hostfit:0.1.0", "/usr/bin/hostfit-webhook"]'
holds defaults "hides reports from those who view" 'named("ClusterRole"; "hostfit-view") | .metadata.labels["rbac.authorization.k8s.io/aggregate-to-view"] == "true" and .rules == [{apiGroups: ["hostfit.dev"], resources: ["compatreports", "compatexceptions", "clustercompatreports", "hostprofiles", "nodeprofiles", "supportmatrices", "baseimages"], verbs: ["get", "list", "watch"]}]'

# Each switch switches.
holds enforce "does not fail closed" '[webhooks | select(.name | startswith("template") | not) | .failurePolicy == "Fail" and .timeoutSeconds == 2] | length == 4 and all'
holds enforce "loses its conditions or annotations" '[webhooks.matchConditions[] | select(.name | startswith("example.com/"))] | length == 6'
holds enforce "loses the images-changed condition" 'named("ValidatingWebhookConfiguration"; "hostfit").webhooks[2].matchConditions | length == 2 and .[0].name == "hostfit.dev/images-changed"'
holds enforce "has other defaults" 'defaults | test("mode: Enforce") and test("- strict") and test("\n  unknownPolicy:\n    imageUnreadable: Deny\n  hostPolicy: AllReachable\n") and test("name: \"production\"")'
holds enforce "has no priority" '[pods.spec.priorityClassName] == ["system-cluster-critical", "system-cluster-critical"]'
holds minimal "makes objects that it should not" '(defaults // "") == "" and count("CustomResourceDefinition") == 0 and count("PodDisruptionBudget") == 0'
holds minimal "may patch nodes" '[rules | select(.resources | index("nodes")) | .verbs[]] - ["get", "list", "watch"] == []'
holds defaults "may not read what node-feature-discovery found" 'any(rules; . == {apiGroups: ["nfd.k8s-sigs.io"], resources: ["nodefeatures"], verbs: ["list", "watch"]})'
holds defaults "believes agents that do not run" 'env("hostfit-operator"; "HOSTFIT_AGENTS") == "off" and env("hostfit-operator"; "HOSTFIT_NODE_FEATURES") == "true"'
holds agent "does not believe the agents" 'env("hostfit-operator"; "HOSTFIT_AGENTS") == "believed"'
holds minimal "still reads what node-feature-discovery found" 'env("hostfit-operator"; "HOSTFIT_NODE_FEATURES") == "false" and ([rules | select(.resources | index("nodefeatures"))] == [])'
holds minimal "does not tell the programs" 'env("hostfit-operator"; "HOSTFIT_LABEL_NODES") == "false" and env("hostfit-webhook"; "HOSTFIT_ANNOTATE_PODS") == "false"'
holds registry "does not tell both programs" '
  [env("hostfit-webhook", "hostfit-operator"; "HOSTFIT_REGISTRY_ALLOW", "HOSTFIT_REGISTRY_PLAIN_HTTP", "HOSTFIT_REGISTRY_TRUSTED_REALMS", "HOSTFIT_REGISTRY_CA_FILE", "HOSTFIT_REGISTRY_CREDENTIALS_DIR")]
  | length == 10 and (unique | sort) == ["/pull-secrets", "/registry-ca/ca.crt", "auth.example.com,sso.example.com:8443", "mirror.example.com:5000,other.example.com", "registry.example.com,registry.example.com:5000"]'
holds registry "does not name the mirrors in their order" '
  [env("hostfit-webhook", "hostfit-operator"; "HOSTFIT_REGISTRY_MIRRORS")] | length == 2 and unique == ["docker.io=https://mirror.example.com/hub,docker.io=http://mirror.example.com:5000,registry.example.com=https://other.example.com"]'
holds registry "does not mount the Secrets, or insists on them" '
  [pods.spec | [.volumes[] | select(.secret.optional) | .secret.secretName] + [.containers[0].volumeMounts[].mountPath | select(startswith("/pull-secrets/"))]]
  | length == 2 and all(. == ["shop-registry", "team.registry", "/pull-secrets/shop-registry", "/pull-secrets/team.registry"])'
holds registry "has no certificates to mount" 'named("ConfigMap"; "hostfit-registry-ca").data["ca.crt"] | startswith("-----BEGIN CERTIFICATE-----\n")'
holds registry "has another image" '[pods.spec.containers[0].image] | unique == ["mirror.example.com:5000/hostfit/hostfit:1.2@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]'
holds registry "cannot pull its own image" '[pods.spec.imagePullSecrets] | unique == [[{name: "own-image"}, {name: "own-image-too"}]]'
holds pod-secrets "does not tell both programs of the namespaces" '
  [env("hostfit-webhook", "hostfit-operator"; "HOSTFIT_PULL_SECRET_NAMESPACES")] == ["shop,team-a", "shop,team-a"]'
holds pod-secrets "has other rights on Secrets than in the namespaces that are named" '
  [kind("Role") | select(of_pods) | .metadata.namespace] == ["shop", "team-a"]
  and [kind("RoleBinding") | select(of_pods) | [.metadata.namespace, .roleRef.name, (.subjects | map(.name, .namespace))]]
    == [["shop", "team-a"][] | [., "hostfit-pull-secrets", ["hostfit-webhook", "checked", "hostfit-operator", "checked"]]]'
holds pod-secrets "does not mount what serves all" '[pods.spec.volumes[] | select(.secret.optional) | .secret.secretName] == ["base-images", "base-images"]'
holds registry "has rights on Secrets of pods" '[kind("Role", "RoleBinding") | select(of_pods)] == []'
holds placement "is not on the node's network" 'named("Deployment"; "hostfit-webhook").spec | .template.spec.hostNetwork and .strategy.rollingUpdate.maxSurge == 0'
holds placement "listens elsewhere" 'env("hostfit-webhook"; "HOSTFIT_LISTEN") == "0.0.0.0:11250" and any(pods.spec.containers[0].ports[]; . == {name: "webhook", containerPort: 11250, protocol: "TCP"} or . == {name: "webhook", containerPort: 11250})'
holds placement "loses labels" '[.[] | select(.metadata.name | test("extra") | not) | .metadata.labels.team] + [pods.metadata.labels.team] | unique == ["platform"]'
holds placement "does not spread as told" 'named("Deployment"; "hostfit-webhook").spec | .selector.matchLabels as $own | .template.spec.topologySpreadConstraints | map(.labelSelector.matchLabels) == [$own, {of: "mine"}]'
holds placement "loses placement" '[pods.spec | .tolerations, .affinity, .nodeSelector["node-role.kubernetes.io/infra"]] | all(. != null)'
holds placement "has no network policies" 'count("NetworkPolicy") == 2'
holds placement "loses extra objects" 'named("ConfigMap"; "extra-map").metadata.namespace == "checked" and (named("ConfigMap"; "hostfit-extra-string") | true)'

holds defaults "runs agents unasked" '[.[] | select(.metadata.name | endswith("-agent"))] == []'
agent='named("DaemonSet"; "hostfit-agent").spec.template.spec'
holds agent "has an agent that may more than it must" "$agent"' | .containers[0].securityContext
  == {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, runAsNonRoot: true, capabilities: {drop: ["ALL"]}, seLinuxOptions: {type: "spc_t"}}'
holds agent "has an agent on the network, or of the host" "$agent"' | [.hostNetwork, .hostPID, .hostIPC, .containers[0].ports] == [null, null, null, null]'
holds agent "mounts more of the node, may write there, or makes what is missing" "$agent"'
  | (.volumes | map(.hostPath | [.path, .type])) == [["/usr/lib", "Directory"], ["/sys", "Directory"], ["/etc/kubernetes/kubelet.conf", "File"]]
  and (.containers[0].volumeMounts | map([.mountPath, .readOnly])) == [["/host/usr/lib", true], ["/host/sys", true], ["/host/var/lib/kubelet/config.yaml", true]]'
holds agent "leaves nodes out" "$agent"' | .tolerations == [{operator: "Exists"}] and .nodeSelector == {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}'
holds agent "does not tell the agent" "$agent"' | .containers[0] | .command == ["/usr/bin/hostfit-agent"] and ([.env[] | select(.value)] | map({key: .name, value}) | from_entries)
  == {HOSTFIT_LOG: "info", HOSTFIT_HOST_ROOT: "/host", HOSTFIT_INTERVAL: "90s"} and .resources.limits == {memory: .resources.requests.memory}'
holds agent "lets agents do more than read profiles and patch their status" '
  named("ClusterRole"; "hostfit-agent").rules == [{apiGroups: ["hostfit.dev"], resources: ["nodeprofiles"], verbs: ["get"]}, {apiGroups: ["hostfit.dev"], resources: ["nodeprofiles/status"], verbs: ["patch"]}]
  and [kind("RoleBinding", "ClusterRoleBinding") | select(any(.subjects[]; .name == "hostfit-agent")) | .roleRef.name] == ["hostfit-agent"]'
holds agent "does not keep agents to their own nodes" '
  named("ValidatingAdmissionPolicy"; "hostfit-agent").spec as $policy | named("ValidatingAdmissionPolicyBinding"; "hostfit-agent").spec
  | .policyName == "hostfit-agent" and .validationActions == ["Deny"] and $policy.failurePolicy == "Fail"
  and $policy.matchConditions[0].expression == "request.userInfo.username == \u0027system:serviceaccount:checked:hostfit-agent\u0027"'
# Every field of the status that is not the agent's must be named in the policy.
fields=$(kubectl label --local -f "$CHART/files/crds/nodeprofiles.yaml" checked=yes -o json | jq -r '.spec.versions[0].schema.openAPIV3Schema.properties.status.properties | keys[] | select(. != "agent")')
for field in $fields; do
  holds agent "lets agents write status.$field" "named(\"ValidatingAdmissionPolicy\"; \"hostfit-agent\").spec.validations[1].expression | contains(\"object.?status.?$field == oldObject.?status.?$field\")"
done
holds agent "has no network policies" 'count("NetworkPolicy") == 3'
rendered agent-without-policy --set agent.enabled=true,agent.policy=false,facts.trustAgent=false
holds agent-without-policy "believes the agents" 'env("hostfit-operator"; "HOSTFIT_AGENTS") == "claimed"'
holds agent-without-policy "has a policy" 'count("ValidatingAdmissionPolicy") == 0 and count("DaemonSet") == 1'

# A change of the defaults restarts the operator, and nothing else.
rendered changed --set mode=Audit
[ "$(jq -S '[.[] | select(.metadata.name == "hostfit-operator" and .kind == "Deployment")]' "$WORK"/{defaults,changed}.json | sort | uniq -u | grep -c checksum/defaults)" = 2 ] ||
  fail "a change of mode does not restart the operator"
[ "$(jq -S '[.[] | select(.metadata.name == "hostfit-webhook" and .kind == "Deployment")]' "$WORK/defaults.json")" = \
  "$(jq -S '[.[] | select(.metadata.name == "hostfit-webhook" and .kind == "Deployment")]' "$WORK/changed.json")" ] || fail "a change of mode restarts the webhook"

# The CRDs are all there, also in the archive, and stay on uninstall.
files=$(find "$CHART/files/crds/" -name '*.yaml' | wc -l)
[ "$files" -gt 0 ] || fail "crds/yaml is empty: generate the CRDs first"
helm package "$CHART" --destination "$WORK" >/dev/null 2>&1 || fail "the chart cannot be packaged"
FROM=$(echo "$WORK"/hostfit-*.tgz) rendered archive
for name in defaults archive placement; do
  holds "$name" "has not the $files CRDs of crds/yaml" "count(\"CustomResourceDefinition\") == $files"
done
holds defaults "would lose CRDs on uninstall" '[kind("CustomResourceDefinition").metadata.annotations["helm.sh/resource-policy"]] | all(. == "keep")'
holds placement "keeps CRDs against crds.keep=false" '[kind("CustomResourceDefinition").metadata.annotations["helm.sh/resource-policy"]] | all(. == null)'
holds defaults "has CRDs over 32 KB" '[kind("CustomResourceDefinition") | tojson | length] | all(. < 32768)'
cmp -s <(jq -S . "$WORK/defaults.json") <(jq -S . "$WORK/archive.json") || fail "the archive renders something else than the folder"

# Names.
RELEASE=prod rendered other-release
holds other-release "has other names" 'named("Deployment"; "prod-hostfit-webhook") and named("ValidatingWebhookConfiguration"; "prod-hostfit")'
rendered renamed --set nameOverride=fit
holds renamed "has other names" 'named("Deployment"; "hostfit-webhook") and ([pods.metadata.labels["app.kubernetes.io/name"]] | unique) == ["fit"]'
rendered full-name --set fullnameOverride=a-release-name-of-fifty-letters-the-longest-allowe
always full-name
holds full-name "has names that are too long for a Service" '[.[].metadata.name | length] | all(. <= 63)'
holds full-name "tells the operator of other names" '
  "a-release-name-of-fifty-letters-the-longest-allowe" as $n | [env("\($n)-operator"; "HOSTFIT_TLS_SECRET", "HOSTFIT_SERVICE", "HOSTFIT_WEBHOOK_CONFIGURATION", "HOSTFIT_LEASE_NAME", "HOSTFIT_DEPLOYMENT")]
  == ["\($n)-webhook-tls", "\($n)-webhook", $n, "\($n)-operator", "\($n)-operator"]'

# What cannot be is refused, and the message says what is wrong.
refused '[Aa]dditional propert(y|ies) .?mod.? ' --set mod=x
refused 'matrix.spec.hostPolicyy: a SupportMatrix has no such field; it has .*hostPolicy' --set matrix.spec.hostPolicyy=AnyReachable
refused '[Aa]dditional propert(y|ies) .?replica.? ' --set webhook.replica=1
refused '[Aa]dditional propert(y|ies) .?tags.? ' --set 'baseImages[0].name=a,baseImages[0].spec.repository=b,baseImages[0].spec.tags={c},baseImages[0].tags=c'
refused 'mode.*(one of|enum|Audit)' --set mode=enforce
refused 'webhook.?\.?.?replicas' --set webhook.replicas=0
refused 'port' --set webhook.port=443
refused 'tag' --set image.tag=1
refused 'digest' --set image.digest=latest
refused 'rulePacks' --set 'matrix.rulePacks={recomended}'
refused 'webhook' --set webhook=null
refused 'failurePolicy=Fail needs webhook.replicas of 2' --set webhook.failurePolicy=Fail,webhook.replicas=1
refused 'failurePolicy=Fail needs kube-system' --set webhook.failurePolicy=Fail,webhook.excludedNamespaces=null
refused 'hostNetwork=true needs another webhook.port' --set webhook.hostNetwork=true
refused 'webhook.port=8080 is taken' --set webhook.port=8080
refused 'pullSecrets=Listed needs names' --set registry.pullSecrets=Listed
refused 'pullSecrets is None' --set 'registry.listed={a}'
refused 'PodReferenced needs the namespaces' --set registry.pullSecrets=PodReferenced
refused 'pullSecrets is not PodReferenced' --set 'registry.pullSecretNamespaces={shop}'
refused 'caBundle' --set registry.caBundle=nonsense
refused 'mirrors' --set 'registry.mirrors.a={https://me:word@mirror.example.com}'
refused 'mirrors' --set 'registry.mirrors.a={mirror.example.com}'
refused 'denyNetworks' --set 'registry.denyNetworks={10.0.0.0/33}'
refused 'denyNetworks' --set 'registry.denyNetworks={10.0.0.256/8}'
refused 'denyNetworks' --set 'registry.denyNetworks={fd00::/129}'
refused 'matrix.spec.steer=true needs facts.labelNodes=true' --set matrix.spec.steer=true,facts.labelNodes=false
refused 'matrix.spec.mode: set mode instead' --set matrix.spec.mode=Audit
refused 'unknownPolicy' --set matrix.unknownPolicy.hostUnknown=Refuse
refused 'tags' --set 'baseImages[0].name=a,baseImages[0].spec.repository=b'
refused 'interval' --set agent.interval=soon
refused 'hostPaths' --set 'agent.hostPaths={etc}'
refused 'kubeVersion|Kubernetes version|incompatible' --kube-version 1.29.9

# As a part of another chart.
mkdir -p "$WORK/parent/charts" "$WORK/parent/templates"
cp "$WORK"/hostfit-*.tgz "$WORK/parent/charts"
cat >"$WORK/parent/Chart.yaml" <<'PARENT'
apiVersion: v2
name: parent
version: 0.0.1
dependencies:
  - name: hostfit
    version: "*"
    condition: hostfit.enabled
PARENT
cat >"$WORK/parent/values.yaml" <<'PARENT'
global: {imageRegistry: mirror.example.com, somethingElse: {of: another chart}}
hostfit: {enabled: true, mode: Audit}
PARENT
FROM=$WORK/parent RELEASE=platform rendered sub-chart
always sub-chart
holds sub-chart "does not take the parent's values" '(defaults | test("mode: Audit")) and ([pods.spec.containers[0].image] | unique) == ["mirror.example.com/hostfit/hostfit:0.1.0"]'
FROM=$WORK/parent RELEASE=platform rendered sub-chart-off --set hostfit.enabled=false
holds sub-chart-off "is there though it is off" '. == []'
FROM=$WORK/parent refused '[Aa]dditional propert(y|ies) .?mod.? ' --set hostfit.mod=x

answers
[ "$FAILED" = 0 ] || exit 1
say "the chart is as it should be ($(helm version --short))"
