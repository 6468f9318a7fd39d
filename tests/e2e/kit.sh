# shellcheck shell=bash
# The vocabulary of the story and of the end-to-end cases. Sourced.

CONTEXT=${IN_NS:-}
# The command line, as cluster.sh builds it.
HOSTFIT=${CARGO_TARGET_DIR:-$PWD/target}/debug/hostfit
OUTPUT=$(mktemp)
SCRATCH=$(mktemp -d)
STARTED=$(date +%s)
trap 'load_stop 2>/dev/null || true; rm -rf "$OUTPUT" "$SCRATCH"' EXIT

# In the local cluster's network, or as you are.
kubectl() { $CONTEXT "$(type -P kubectl)" "$@"; }
# Helm tells of the link to the CRDs each time. A pipe, so that all it says has been said when it is done.
helm() { { $CONTEXT "$(type -P helm)" "$@" 2>&1 >&3 3>&- | sed -u '/found symbolic link/d' >&2; } 3>&1; }

# hostfit EXIT-CODE ARGUMENT…  what it says is kept in $OUTPUT
hostfit() {
  local code=0
  $CONTEXT env "HOSTFIT_REGISTRY_PLAIN_HTTP=$PLAIN" "$HOSTFIT" "${@:2}" >"$OUTPUT" 2>&1 || code=$?
  [ "$code" = "$1" ] || { echo "ended with $code"; cat "$OUTPUT"; return 1; }
}

now() { date +%s; }
since() { echo $(($(date +%s) - $1)); }
say() { printf '%s\n' "$*"; }
tell() { sed 's/^/     /' <<<"$*"; }

# show COMMAND-AS-TOLD COMMAND…
show() {
  printf '     $ %s\n' "$1"
  shift
  "$@" | sed 's/^/       /'
}

# check WHAT COMMAND…
check() {
  local what=$1
  shift
  if ! "$@" >"$SCRATCH/check" 2>&1; then
    echo "FAILED: $what" >&2
    tail -n 5 "$SCRATCH/check" >&2
    diagnose >&2
    exit 1
  fi
}

# eventually SECONDS WHAT COMMAND…
eventually() {
  local deadline=$(($(date +%s) + $1)) what=$2
  shift 2
  until "$@" >"$SCRATCH/check" 2>&1; do
    if [ "$(date +%s)" -ge "$deadline" ]; then
      echo "FAILED: $what did not come about in time" >&2
      tail -n 5 "$SCRATCH/check" >&2
      diagnose >&2
      exit 1
    fi
    sleep 0.3
  done
}

# What one wants to see when a step failed.
diagnose() {
  set +e # the one thing that cannot be had must not hide the others
  echo "--- last output:"
  tail -n 5 "$OUTPUT"
  echo "--- hostfit:"
  kubectl get pods -n hostfit -o wide 2>&1
  # The pods wait for their certificate by design.
  kubectl get events -n hostfit --field-selector type=Warning -o 'jsonpath={range .items[*]}{.message}{"\n"}{end}' 2>&1 |
    awk '!/volume "tls"/ && !seen[$0]++' | head -n 6 | cut -c1-400
  kubectl logs -n hostfit -l app.kubernetes.io/instance=hostfit --tail=12 --prefix 2>&1 | cut -c1-400
  kubectl get hprof,compat,smx,bimg,iprof -A 2>&1
}

VALUES=()
# Registries without TLS.
PLAIN=
# Nodes of a user's cluster may take their time to pull.
READY_WITHIN=60
[ -n "$CONTEXT" ] || READY_WITHIN=120

# Pushes everything that the story needs, and sets what the chart has to be told.
push_images() {
  local plain=()
  tests/cluster/push.sh --layout target/image hostfit:demo >/dev/null
  tests/e2e/images.sh
  if [ -n "$CONTEXT" ]; then plain=("$REGISTRY" "$PRIVATE_REGISTRY"); fi
  if [ -n "${PLAIN_HTTP:-}" ]; then plain=("${REGISTRY%%/*}"); fi
  VALUES=(--set "image.repository=$REGISTRY/hostfit" --set image.tag=demo)
  PLAIN=$(IFS=,; echo "${plain[*]}")
  if [ -n "$PLAIN" ]; then VALUES+=(--set "registry.plainHTTP={$PLAIN}"); fi
  VALUES+=(--set-json "baseImages=$(jq -cn --arg registry "$REGISTRY" '[["rhel6", "6.10"], ["ubi8", "8.10"]]
    | map({name: .[0], spec: {repository: "\($registry)/bases/\(.[0])", tags: [.[1]]}})')")
  # In a user's cluster nobody else's pods are judged, and nobody else's workloads get Events.
  [ -n "$CONTEXT" ] || VALUES+=(--set reports.events=None
    --set-json 'webhook.matchConditions=[{"name": "hostfit.dev/demo", "expression": "request.namespace == \"shop\""}]')
}

# install [ARGUMENT…] and uninstall: the release of the cases, in mode Warn.
install() {
  # Whoever had the CRDs before: the cases come one after the other.
  helm install hostfit charts/hostfit -n hostfit --create-namespace --wait --timeout 90s --take-ownership "${VALUES[@]}" "$@" >/dev/null
}
uninstall() {
  helm uninstall hostfit -n hostfit --wait --timeout 60s >/dev/null
  kubectl delete namespace "$NS" --wait=false >/dev/null
  eventually 40 "nothing is left" nothing_left
  kubectl delete smx,hprof,nprof,bimg,iprof --all >/dev/null
}

# fails_with WORDS COMMAND… : it fails, and says why.
fails_with() {
  local words=$1
  shift
  if "$@" >"$SCRATCH/fails" 2>&1; then
    echo "it did not fail"
    return 1
  fi
  grep -qF -- "$words" "$SCRATCH/fails" || { cat "$SCRATCH/fails"; return 1; }
}

# The private registry belongs to the local cluster.
has_private_registry() { [ -n "$CONTEXT" ]; }

make_pools() { tests/cluster/nodes.sh >/dev/null; }
upgrade_pool() { tests/cluster/nodes.sh upgrade amzn2 >/dev/null; }

create_namespace() {
  kubectl create namespace "$1" >/dev/null
  until kubectl get serviceaccount default -n "$1" >/dev/null 2>&1; do sleep 0.1; done
}

# pod_json NAME IMAGE POOL
pod_json() {
  jq -cn --arg name "$1" --arg image "$2" --arg pool "$3" '{apiVersion: "v1", kind: "Pod", metadata: {name: $name},
    spec: {nodeSelector: {pool: $pool}, tolerations: [{key: "kwok.x-k8s.io/node", operator: "Exists"}],
      containers: [{name: "app", image: $image}]}}'
}

# pod NAME REPOSITORY:TAG POOL [IMAGE]   what kubectl says is kept in $OUTPUT
pod() {
  pod_json "$1" "${4:-$REGISTRY/$2}" "$3" | kubectl create -n "$NS" -f - >"$OUTPUT" 2>&1
}

# refused NAME REPOSITORY:TAG POOL
refused() {
  if pod "$@"; then
    kubectl delete pod -n "$NS" "$1" --wait=false >/dev/null
    return 1
  fi
  grep -q 'denied the request' "$OUTPUT"
}

# pod_is NAME REPOSITORY:TAG POOL IMAGE VERDICT
pod_is() {
  kubectl delete pod -n "$NS" "$1" --ignore-not-found --force --grace-period=0 >/dev/null 2>&1
  pod "$1" "$2" "$3" "$4"
  annotation_is "$1" verdict "$5"
}

warned() { grep -q "^Warning: .* $1\$" "$OUTPUT"; }
warnings() { grep -v '^pod/' "$OUTPUT"; }
annotation_is() { [ "$(kubectl get pod -n "$NS" "$1" -o json | jq -r ".metadata.annotations[\"hostfit.dev/$2\"]")" = "$3" ]; }
annotations() { kubectl get pod -n "$NS" "$1" -o json | jq -rc '.metadata.annotations | with_entries(select(.key | startswith("hostfit.dev/")))'; }

# deployment_json NAME IMAGE POOL
deployment_json() {
  jq -cn --arg name "$1" --argjson pod "$(pod_json "$1" "$2" "$3")" '{apiVersion: "apps/v1", kind: "Deployment",
    metadata: {name: $name}, spec: {replicas: 1, selector: {matchLabels: {app: $name}},
      template: {metadata: {labels: {app: $name}}, spec: $pod.spec}}}'
}
# run_workload NAME IMAGE POOL
run_workload() { deployment_json "$@" | kubectl apply -n "$NS" -f - >/dev/null; }

# A plan, as HostProfile el9-on-arm: nodes of another architecture in the place of the RHEL 9 pool.
declare_arm_pool() {
  kubectl apply -f - >/dev/null <<'PROFILE'
apiVersion: hostfit.dev/v1alpha1
kind: HostProfile
metadata: {name: el9-on-arm}
spec:
  baselineName: rhel94-k514
  facts: {os: rhel, osVersion: "9.4", kernel: 5.14.0-427.13.1.el9_4.aarch64, architecture: arm64, cgroup: 2}
PROFILE
}
new_failures() { kubectl get ccompat el9-on-arm -o jsonpath='{.status.newFailures}'; }
would_break() { [ "$(new_failures)" -ge 1 ]; }

has_profiles() {
  local profile
  for profile in "$@"; do kubectl get hprof "$profile"; done
}
node_label_is() { [ "$(kubectl get nodes -l "$1" -o json | jq -r "[.items[].metadata.labels[\"$2\"]] | unique | join(\" \")")" = "$3" ]; }
report_is() { [ "$(kubectl get compat -n "$NS" "$1" -o jsonpath='{.status.verdict}')" = "$2" ]; }
profiles_of() { [ "$(kubectl get iprof -o json | jq '[.items[] | select(.status.inspectedTime)] | length')" -ge "$1" ]; }
base_is_ready() { [ "$(kubectl get bimg "$1" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}')" = True ]; }

pull_secret() {
  kubectl create secret docker-registry team-registry -n hostfit --docker-server="$PRIVATE_REGISTRY" \
    --docker-username="$PRIVATE_REGISTRY_USER" --docker-password="$PRIVATE_REGISTRY_PASSWORD" >/dev/null
}

# Others may have webhooks and Secrets of their own there.
nothing_left() {
  local kinds
  kinds=$(kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o json | jq '[.items[].webhooks[]?.name | select(endswith("hostfit.dev"))] | length') &&
    [ "$kinds" = 0 ] &&
    kinds=$(kubectl get secret,lease,pods -n hostfit -o name) && ! grep -E '/(hostfit|fit-two|sh\.helm)' <<<"$kinds" &&
    [ "$(kubectl get compat,hprof,smx,bimg,iprof -A -o json | jq '[.items[].metadata.finalizers // [] | .[]] | length')" = 0 ]
}

# A steady stream of pod creations (dry run: nothing is stored, every webhook is called).
load_start() {
  rm -f "$SCRATCH/stop"
  skipped_before=$(fail_open_count)
  (
    while :; do
      pod_json "load-$RANDOM" "$REGISTRY/shop/legacy:1" rhel9
    done | while read -r json; do
      result=$(kubectl create -n "$NS" --dry-run=server -f - <<<"$json" 2>&1) || true
      case $result in
        *HF501*created*) echo ok ;;
        *) printf 'bad %s\n' "$(tr '\n' ' ' <<<"$result")" ;;
      esac
      [ ! -e "$SCRATCH/stop" ] || break
    done >"$SCRATCH/load"
  ) &
  LOAD=$!
}
load_stop() {
  [ -n "${LOAD:-}" ] || return 0
  touch "$SCRATCH/stop"
  wait "$LOAD" || true
  LOAD=
}
fail_open_count() {
  kubectl get --raw /metrics | awk '/^apiserver_admission_webhook_fail_open_count.*hostfit/ {n += $NF} END {print n + 0}'
}
load_was_clean() {
  grep -m 3 bad "$SCRATCH/load"
  ! grep -q bad "$SCRATCH/load" && grep -q ok "$SCRATCH/load" && [ "$(fail_open_count)" = "$skipped_before" ]
}
load_result() { echo "$(grep -c ok "$SCRATCH/load") pods created meanwhile, $(grep -c bad "$SCRATCH/load" || true) calls failed or skipped"; }

clean_up() {
  kubectl delete namespace "$NS" hostfit --wait=false >/dev/null
  # Without KWOK nobody ends the pods of the fake nodes.
  [ -n "$CONTEXT" ] || kubectl delete pods --all -n "$NS" --force --grace-period=0 >/dev/null 2>&1 || true
  kubectl wait --for=delete "namespace/$NS" namespace/hostfit --timeout 90s >/dev/null
}
