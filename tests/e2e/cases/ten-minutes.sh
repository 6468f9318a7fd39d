#!/usr/bin/env bash
# The first ten minutes of somebody who has not heard of Hostfit before: without a cluster, on one with nothing installed, then
# with it. Every step is what the documents tell to do, and each has its time. The registry of the local cluster stands for the
# public ones, and the local build of the program for a package of it.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
NS=my-app

says() { grep -qE -- "$1" "$OUTPUT" || { cat "$OUTPUT"; return 1; }; }
step() { # SECONDS WHAT COMMAND…
  local started
  started=$(now)
  check "$2" "${@:3}"
  check "$2: within $1 s, not $(since "$started")" test "$(since "$started")" -le "$1"
}

make_pools
push_images
create_namespace "$NS"
for name in web quiet fast; do run_workload "$name" "$REGISTRY/shop/$name:1" rhel9; done
run_workload secret "$PRIVATE_REGISTRY/team/secret:1" rhel9

say "  without a cluster"
step 1 "it tells its version" hostfit 0 version
check "with the age of its rules" says 'rules [0-9.]+'
step 60 "an image on an older CPU does not fit" hostfit 1 check image "$REGISTRY/shop/fast:1" --host builtin/x86-64-v2
check "says what, why and what to do" says 'HF101 .*x86-64-v3'
mkdir "$SCRATCH/my-app"
for name in web fast; do deployment_json "$name" "$REGISTRY/shop/$name:1" rhel9 >"$SCRATCH/my-app/$name.json"; done
deployment_json secret "$PRIVATE_REGISTRY/team/secret:1" rhel9 >"$SCRATCH/my-app/secret.yaml"
step 30 "manifests are judged" hostfit 1 check -f "$SCRATCH/my-app" --host builtin/x86-64-v2
check "the registry that refused is named" says "HF901 .*$PRIVATE_REGISTRY"

say "  on a cluster with nothing installed"
kubectl delete crd -l app.kubernetes.io/part-of=hostfit >/dev/null
step 60 "all workloads are judged on its nodes" hostfit 1 check -A
check "what does not fit is told" says "^FAIL +$NS/deploy/fast +HF101"
check "and what could not be told" says "^UNKNOWN +$NS/deploy/secret +HF901"
check "with the permissions that were used" says 'permissions used'
tell "$(grep -m 1 workloads "$OUTPUT")"
step 60 "a plan tells what new nodes would break" hostfit 0 plan --from rhel94-k514 --to builtin/rhel-10 -A
check "what changes" says 'os.* rhel 9.4|osVersion 9.4 -> 10'

say "  installed"
step 60 "it is ready" install
helm get notes hostfit -n hostfit >"$OUTPUT"
check "four things to do next" says '^4\. '
check "nothing is refused" says 'Mode: Warn. Nothing is refused.'
eventually 120 "reports" report_is deploy-fast Fail
one_problem() { hostfit 1 doctor && says '^1 problem' && says "$PRIVATE_REGISTRY.*refused access"; }
eventually 60 "doctor finds the registry that refuses, and nothing else" one_problem
step 5 "explain shows the way out" hostfit 1 explain -n "$NS" deploy/fast
check "with a command to accept it" says 'hostfit except'
create_namespace demo
NS=demo
deploy() { deployment_json "$1" "$REGISTRY/shop/fast:1" rhel9 | kubectl create -n demo -f - >"$OUTPUT" 2>&1; }
step 5 "a Deployment that does not fit is made" deploy x
check "and warned of" says '^Warning: demo/Deployment/x: container app .*HF101$'
kubectl label namespace demo hostfit.dev/mode=enforce >/dev/null
refused_now() { ! deploy y && grep -q 'denied the request: Deployment demo/y' "$OUTPUT" || { kubectl delete deployment -n demo y >/dev/null 2>&1; return 1; }; }
eventually 10 "in mode enforce it is refused" refused_now
tell "$(sed -n 's/.*denied the request: //p' "$OUTPUT")"
kubectl label namespace demo hostfit.dev/mode- >/dev/null
step 10 "it is accepted until a date" hostfit 0 except -n demo deploy/x HF101 --until +30d --reason "rebuilt next month" --apply
active() { [ "$(kubectl get cex -n demo -o jsonpath='{.items[0].status.state}')" = Active ]; }
eventually 30 "the exception is active" active
eventually 30 "and the workload fails no more, though its base is old" report_is deploy-x Warn
declare_arm_pool
eventually 30 "the plan is watched by the cluster" would_break
step 60 "a page for people" hostfit 0 report -A -o html --fail-on never --output-file "$SCRATCH/report.html"
check "is one" grep -q '<html' "$SCRATCH/report.html"

kubectl delete hprof el9-on-arm >/dev/null
kubectl delete namespace demo --wait=false >/dev/null
NS=my-app
uninstall
tell "all of it in $(since "$STARTED") s"
