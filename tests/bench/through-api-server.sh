#!/usr/bin/env bash
# What Hostfit costs a cluster: pod creations with and without it, idle memory, size of its reports.
# Needs the environment of tests/e2e/cluster.sh, and BENCH.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/e2e/kit.sh

NS=shop
ROUNDS=5
CONFIGURATIONS=validatingwebhookconfigurations,mutatingwebhookconfigurations

row() { # PAIRS-FILE OPTION…
  local pairs=$1
  shift
  "$BENCH" row "$@" <"$pairs"
}

# workload NAME POOL|any IMAGE…  a Deployment, one container for each image.
workload() {
  local name=$1 pool=$2
  shift 2
  jq -cn --arg name "$name" --arg pool "$pool" --args '{apiVersion: "apps/v1", kind: "Deployment", metadata: {name: $name},
    spec: {replicas: 1, selector: {matchLabels: {app: $name}}, template: {metadata: {labels: {app: $name}},
      spec: {tolerations: [{key: "kwok.x-k8s.io/node", operator: "Exists"}],
        nodeSelector: (if $pool == "any" then {} else {pool: $pool} end),
        containers: [$ARGS.positional | to_entries[] | {name: "c\(.key)", image: .value}]}}}}' "$@" | kubectl apply -n "$NS" -f - >/dev/null
}

# Two pods that fit: as `kubectl run` makes one, bound to a pool, and that of the other measurements, without what this cluster does
# not have. How much a webhook takes from a server depends on them, as the server writes and reads each pod again for each webhook.
write_pods() {
  jq -cn --arg image "$REGISTRY/shop/web:1" '{apiVersion: "v1", kind: "Pod", metadata: {generateName: "web-", labels: {run: "web"}},
    spec: {containers: [{name: "web", image: $image}], nodeSelector: {pool: "rhel9"},
      tolerations: [{key: "kwok.x-k8s.io/node", operator: "Exists"}]}}' >"$SCRATCH/pod-small"
  sed "s|IMAGE-WEB|$REGISTRY/shop/web:1|; s|IMAGE-PROXY|$REGISTRY/shop/web:1|" tests/bench/review.json |
    jq -c '.request.object | del(.metadata.managedFields, .metadata.ownerReferences, .spec.serviceAccountName, .spec.serviceAccount)
      | .spec.nodeSelector.pool = "rhel9" | .spec.tolerations += [{key: "kwok.x-k8s.io/node", operator: "Exists"}]' >"$SCRATCH/pod-full"
  # What a pod costs where something may be refused: both calls are made.
  jq -c '.metadata.labels["hostfit.dev/validate"] = "yes"' "$SCRATCH/pod-small" >"$SCRATCH/pod-twice"
}

write_token() {
  kubectl create serviceaccount bench -n "$NS" >/dev/null
  kubectl create rolebinding bench -n "$NS" --clusterrole=edit --serviceaccount="$NS:bench" >/dev/null
  (umask 077 && kubectl create token bench -n "$NS" --duration=1h >"$SCRATCH/token")
}

# load POD OPTION…  dry runs: nothing is stored, every webhook is called.
load() {
  local pod=$1
  shift
  $CONTEXT "$BENCH" load --url "$SERVER/api/v1/namespaces/$NS/pods?dryRun=All" --ca "$SCRATCH/ca" --token "$SCRATCH/token" \
    --body "$SCRATCH/pod-$pod" "$@" >"$SCRATCH/result"
  [ "$(jq .errors "$SCRATCH/result")" = 0 ] || { jq -r .first "$SCRATCH/result" >&2; return 1; }
}
# verdict POD  what a new pod is annotated with, or nothing.
verdict() {
  load "$1" --connections 1 --requests 1
  jq -r '.first | fromjson | .metadata.annotations["hostfit.dev/verdict"] // ""' "$SCRATCH/result"
}
is_called_by() { # ours|floor|nobody
  local pod
  for pod in small full; do
    case $1:$(verdict "$pod") in
      ours:Pass | floor:Floor | nobody:) ;;
      *) return 1 ;;
    esac
  done
}

switch_on() { # ours|floor
  kubectl create -f "$SCRATCH/$1" >/dev/null
  eventually 20 "the API server calls $1" is_called_by "$1"
}
switch_off() { # ours|floor
  kubectl delete -f "$SCRATCH/$1" >/dev/null
  eventually 20 "the API server calls nobody" is_called_by nobody
}

# What any webhook costs: the same calls, answered by a process that reads the pod and says the same to all.
start_floor() {
  local tls=$SCRATCH/tls node
  mkdir -p "$tls"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=floor \
    -addext subjectAltName=DNS:floor.hostfit.svc -keyout "$tls/tls.key" -out "$tls/tls.crt" 2>/dev/null
  node=${SERVER#https://}
  node=${node%:*}
  $CONTEXT "$BENCH" floor --listen "$node:10251" --tls-dir "$tls" &
  FLOOR=$!
  trap 'kill "$FLOOR" 2>/dev/null || true; rm -rf "$OUTPUT" "$SCRATCH"' EXIT
  kubectl apply -f - >/dev/null <<END
{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "floor", "namespace": "hostfit"}, "spec": {"ports": [{"name": "https", "port": 443}]}}
---
{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
  "metadata": {"name": "floor", "namespace": "hostfit", "labels": {"kubernetes.io/service-name": "floor"}},
  "ports": [{"name": "https", "port": 10251}], "endpoints": [{"addresses": ["$node"], "conditions": {"ready": true}}]}
END
  jq --arg bundle "$(base64 -w0 "$tls/tls.crt")" '.items[] |= (.metadata.name = "floor" | .webhooks[].clientConfig |=
    (.service.name = "floor" | .caBundle = $bundle))' "$SCRATCH/ours" >"$SCRATCH/floor"
}

# measure ours|floor|nobody  appends to a file for each pod and number.
measure() {
  local pod
  for pod in small full twice; do
    load "$pod" --connections 16 --seconds 3
    jq .rate "$SCRATCH/result" >>"$SCRATCH/$1-$pod-rate-16"
    [ "$pod" != twice ] || continue
    jq .p99 "$SCRATCH/result" >>"$SCRATCH/$1-$pod-p99-16"
    load "$pod" --connections 1 --seconds 2
    jq .p50 "$SCRATCH/result" >>"$SCRATCH/$1-$pod-p50-1"
    jq .p99 "$SCRATCH/result" >>"$SCRATCH/$1-$pod-p99-1"
  done
}

# compare NUMBER ONE OTHER NAME OPTION…
compare() {
  local number=$1 one=$2 other=$3 name=$4
  shift 4
  paste "$SCRATCH/$one-$number" "$SCRATCH/$other-$number" >"$SCRATCH/pairs"
  row "$SCRATCH/pairs" --name "$name" "$@"
}

compare_creations() {
  local round pod
  kubectl get "$CONFIGURATIONS" -l app.kubernetes.io/instance=hostfit -o json |
    jq 'del(.items[].metadata["resourceVersion", "uid", "creationTimestamp", "generation", "managedFields"])' >"$SCRATCH/ours"
  start_floor
  is_called_by ours
  for round in $(seq "$ROUNDS"); do
    [ "$round" = 1 ] || switch_on ours
    measure ours
    switch_off ours
    switch_on floor
    measure floor
    switch_off floor
    measure nobody
  done
  switch_on ours
  for pod in small full; do
    compare "$pod-rate-16" ours nobody "creations of a $pod pod, 16 connections" --unit /s --at-least 0.5
    compare "$pod-rate-16" floor nobody "… fixed answers in place of ours" --unit /s
    compare "$pod-rate-16" ours floor "… ours beside fixed answers" --unit /s
    compare "$pod-p99-16" ours nobody "… p99" --unit ms
    compare "$pod-p50-1" ours nobody "… 1 connection, median" --unit ms
    compare "$pod-p99-1" ours nobody "… 1 connection, p99" --unit ms
  done
  compare twice-rate-16 ours nobody "… of a small pod that is validated, too" --unit /s
  compare twice-rate-16 floor nobody "… fixed answers in place of ours" --unit /s
}

# memory NAME  anonymous resident memory of the largest process in the cluster that was started by this name, in MiB.
memory() {
  local process most=0 own name
  for process in /proc/[0-9]*; do
    name=$(tr "\0" "\n" <"$process/cmdline" | head -n 1) || continue
    [ "${name##*/}" = "$1" ] && grep -q hostfit-cluster "$process/cgroup" || continue
    own=$(awk '/^RssAnon/ {print $2}' "$process/status")
    [ "$own" -le "$most" ] || most=$own
  done 2>/dev/null
  [ "$most" -gt 0 ] || { echo "no process of $1 was found" >&2; return 1; }
  awk -v kib="$most" 'BEGIN {printf "%.1f\n", kib / 1024}'
}

memories() { # WHEN
  local goal=(--at-most)
  memory hostfit-webhook >"$SCRATCH/memory" && row "$SCRATCH/memory" --name "webhook: memory $1" --unit MiB "${goal[@]}" 25
  memory hostfit-operator >"$SCRATCH/memory" && row "$SCRATCH/memory" --name "operator: memory $1" --unit MiB "${goal[@]}" 30
}

# As stored: with the fields that kubectl hides.
reports() {
  kubectl get compat -n "$NS" -o json --show-managed-fields >"$SCRATCH/reports"
  jq -r '.items[] | "report \(.metadata.name): \(tojson | utf8bytelength) bytes, managed fields \(.metadata.managedFields | tojson | utf8bytelength)"' \
    "$SCRATCH/reports" >&2
  jq '[.items[] | tojson | utf8bytelength] | add / length | round' "$SCRATCH/reports" >"$SCRATCH/size"
  row "$SCRATCH/size" --name "CompatReport of 6 workloads: average, as stored" --unit bytes --at-most 3072
  jq '[.items[] | tojson | utf8bytelength] | max' "$SCRATCH/reports" >"$SCRATCH/size"
  row "$SCRATCH/size" --name "CompatReport of 6 workloads: largest, as stored" --unit bytes --at-most 10240
}

all_reported() { [ "$(kubectl get compat -n "$NS" -o json | jq '[.items[] | select(.status.verdict)] | length')" -ge 6 ]; }

make_pools
push_images
create_namespace "$NS"
helm install hostfit charts/hostfit -n hostfit --create-namespace --wait --timeout 90s "${VALUES[@]}" >/dev/null
# Half of them fit; the last has findings of every kind.
workload web rhel9 "$REGISTRY/shop/web:1"
workload web-and-proxy rhel9 "$REGISTRY/shop/web:1" "$REGISTRY/bases/ubi8:8.10"
workload web-anywhere any "$REGISTRY/shop/web:1"
workload legacy rhel9 "$REGISTRY/shop/legacy:1"
workload ledger any "$REGISTRY/shop/web:1" "$REGISTRY/shop/ledger:1"
workload worst any "$REGISTRY/shop/web:1" "$REGISTRY/shop/ledger:1" "$REGISTRY/shop/legacy:1" "$REGISTRY/shop/arm:1"
eventually 60 "six reports" all_reported
eventually 30 "host profiles" has_profiles rhel94-k514 amzn2-k510

SERVER=$(kubectl config view --raw -o 'jsonpath={.clusters[0].cluster.server}')
kubectl config view --raw -o 'jsonpath={.clusters[0].cluster.certificate-authority-data}' | base64 -d >"$SCRATCH/ca"
write_token
write_pods
sleep 10
is_scoped() { kubectl get validatingwebhookconfiguration hostfit -o json | jq -e '.webhooks[0].objectSelector.matchExpressions'; }
eventually 20 "the operator tells which pods are validated" is_scoped
memories "idle"
reports
compare_creations
sleep 5
memories "after the load"
