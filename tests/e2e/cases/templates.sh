#!/usr/bin/env bash
# Templates are answered for where people see it; what changes neither images nor placement does not even reach us.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
NS=templates
make_pools
push_images
create_namespace "$NS"
install
eventually 60 "profiles are observed" has_profiles rhel94-k514
eventually 30 "base images followed" base_is_ready rhel6

# template KIND REPOSITORY:TAG  prints an object of that kind, as a person would write it
template() {
  deployment_json "a-${1,,}" "$REGISTRY/$2" rhel9 | jq -c --arg kind "$1" '.kind = $kind | .spec.template as $template
    | ($template | .spec.restartPolicy = "Never") as $once
    | if $kind == "Job" then .apiVersion = "batch/v1" | .spec = {template: $once}
      elif $kind == "CronJob" then .apiVersion = "batch/v1" | .spec = {schedule: "0 0 1 1 *", jobTemplate: {spec: {template: $once}}}
      elif $kind == "DaemonSet" then del(.spec.replicas)
      elif $kind == "StatefulSet" then .spec.serviceName = "none"
      else . end'
}
# tried KIND REPOSITORY:TAG  what kubectl says is kept in $OUTPUT
tried() { template "$@" | kubectl create -n "$NS" --dry-run=server -f - >"$OUTPUT" 2>&1; }
says() { grep -qE -- "$1" "$OUTPUT" || { cat "$OUTPUT"; return 1; }; }
KINDS="Deployment StatefulSet DaemonSet ReplicaSet Job CronJob"

for kind in $KINDS; do
  tried "$kind" shop/ledger:1
  check "a $kind is warned of" says "^Warning: templates/$kind/a-${kind,,}: container app stands on rhel 6\.10; .* HF502\$"
  tried "$kind" shop/web:1
  check "nothing is said of a $kind that fits" test "$(grep -c Warning "$OUTPUT")" = 0
done

# What comes of it in mode Warn: its pods are annotated, and nobody is warned a second time.
template Deployment shop/ledger:1 | kubectl create -n "$NS" -f - >/dev/null 2>&1
pods_are_annotated() { [ "$(kubectl get pods -n "$NS" -l app=a-deployment -o json | jq -r '[.items[].metadata.annotations["hostfit.dev/verdict"]] | unique | join(" ")')" = Fail ]; }
eventually 30 "its pods are annotated" pods_are_annotated

kubectl label namespace "$NS" hostfit.dev/mode=enforce >/dev/null
is_refused() { ! tried "$1" shop/ledger:1 && says "denied the request: $1 templates/a-${1,,} does not fit the one host profile that it may land on"; }
for kind in $KINDS; do eventually 20 "a $kind is refused in Enforce" is_refused "$kind"; done
check "by the webhook for templates" says 'admission webhook "templates.hostfit.dev"'

# What is there may go on living.
calls() { kubectl get --raw /metrics | awk '/^apiserver_admission_webhook_admission_duration_seconds_count\{name="template-updates.hostfit.dev"/ {n += $NF} END {print n + 0}'; }
deployment() { kubectl "${@:1:1}" deployment/a-deployment -n "$NS" "${@:2}"; }
before=$(calls)
check "it is scaled" deployment scale --replicas 2
check "it is labelled" deployment label team=shop
check "it is annotated" deployment annotate note=x
check "a finalizer is added" deployment patch --type merge -p '{"metadata": {"finalizers": ["example.com/wait"]}}'
check "and taken away" deployment patch --type merge -p '{"metadata": {"finalizers": null}}'
check "it is paused" deployment patch --type merge -p '{"spec": {"paused": true}}'
check "and goes on" deployment patch --type merge -p '{"spec": {"paused": false}}'
check "nothing of this reached the webhook" test "$(calls)" = "$before"
check "its environment is changed" kubectl set env -n "$NS" deployment/a-deployment A=b
check "it is restarted" kubectl rollout restart -n "$NS" deployment/a-deployment
check "the webhook was asked, and let it pass" test "$(calls)" -gt "$before"
check "an image that does not fit is refused" fails_with HF110 kubectl set image -n "$NS" deployment/a-deployment "app=$REGISTRY/shop/arm:1"
check "so is another placement where it does not fit" fails_with HF502 deployment patch --type json \
  -p '[{"op": "add", "path": "/spec/template/spec/tolerations/-", "value": {"key": "x", "operator": "Exists"}}]'
check "an image that fits is taken" kubectl set image -n "$NS" deployment/a-deployment "app=$REGISTRY/shop/web:1"
check "it is deleted" deployment delete --wait=false
uninstall
