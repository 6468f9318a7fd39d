#!/usr/bin/env bash
# From the chart and image of an older commit to these, and back, under a steady stream of pod creations: no call fails or is
# skipped, no report flaps, and no rule that is new refuses. By hand, in a fresh local cluster (docs/install.md, "Upgrade"):
#   OLD=$(mktemp -d); git worktree add "$OLD" COMMIT; make -C "$OLD" image; make image; tests/cluster/up.sh; . .cluster/env
#   tests/e2e/alone/upgrade.sh "$OLD/charts/hostfit" "$OLD/target/image"     (with another Helm: put it first into PATH as helm)
set -euo pipefail
[ $# = 2 ] || { echo "usage: upgrade.sh OLD_CHART OLD_IMAGE_LAYOUT" >&2; exit 64; }
OLD_CHART=$(realpath "$1") OLD_IMAGE=$(realpath "$2")
cd "$(dirname "$0")/../../.."
. tests/e2e/kit.sh
NS=shop

make_pools
push_images
tests/cluster/push.sh --layout "$OLD_IMAGE" hostfit:old >/dev/null
create_namespace "$NS"
for name in web quiet fast legacy ledger; do run_workload "$name" "$REGISTRY/shop/$name:1" rhel9; done
helm install hostfit "$OLD_CHART" -n hostfit --create-namespace --wait --timeout 90s "${VALUES[@]}" --set image.tag=old >/dev/null
settled() {
  report_is deploy-web Pass && report_is deploy-quiet Warn && report_is deploy-fast Fail && report_is deploy-legacy Warn && report_is deploy-ledger Fail
}
eventually 60 "reports of the old version" settled

# Every verdict that a report ever shows, in order. The API server ends a watch when the CRD changes.
watch_reports() { while [ ! -e "$SCRATCH/end" ]; do kubectl get compat -n "$NS" -o json --watch || true; done; }
watch_reports >>"$SCRATCH/watch" 2>/dev/null &
WATCH=$!
trap 'touch "$SCRATCH/end"; pkill -P "$WATCH" || true; load_stop 2>/dev/null || true; rm -rf "$OUTPUT" "$SCRATCH"' EXIT
# Nothing may come back that was left before. What was watched is forgotten.
flaps() {
  jq -rs 'group_by(.metadata.name)[] | .[0].metadata.name as $name
    | [.[].status.verdict] | reduce .[] as $it ([]; if last == $it then . else . + [$it] end)
    | select((unique | length) < length) | "\($name): \(join(" → "))"' "$SCRATCH/watch"
  : >"$SCRATCH/watch"
}

move() { # TO CHART TAG [ARGUMENT…]
  local started
  started=$(now)
  load_start
  helm upgrade hostfit "$2" -n hostfit --reset-then-reuse-values --wait --timeout 120s --set image.tag="$3" "${@:4}" >/dev/null
  kubectl rollout status deployment -n hostfit --timeout 120s >/dev/null
  sleep 5
  load_stop
  check "$1: no call failed or was skipped" load_was_clean
  tell "$1 in $(since "$started") s: $(load_result)"
  eventually 30 "$1: the same verdicts" settled
}
move "to this version" charts/hostfit demo
flaps >"$SCRATCH/flaps"
check "no report flapped: $(cat "$SCRATCH/flaps")" test ! -s "$SCRATCH/flaps"
made_with=$(kubectl get smx default -o jsonpath='{.status.firstRulesVersion}')
check "the matrix keeps the rules that it was made with" test -n "$made_with"
tell "rules $(kubectl get smx default -o jsonpath='{.status.rulesVersion}'), made with $made_with: $(kubectl get smx default -o jsonpath='{.status.conditions[?(@.type=="Ready")].message}')"
# The older chart may have fewer webhooks (docs/install.md, "Back to an older version").
BACK=()
case $(helm version --short) in v3*) ;; *) BACK+=(--server-side=false) ;; esac
move "and back" "$OLD_CHART" old "${BACK[@]}"
check "the reports were watched to the end" kill -0 "$WATCH"
# An older version knows nothing of profiles that a newer one wrote: until it has read the images again, it says Unknown.
tell "on the way back: $(flaps | tr '\n' ';')"
helm uninstall hostfit -n hostfit --wait --timeout 60s >/dev/null
eventually 40 "nothing is left" nothing_left
say "The end: $(since "$STARTED") s"
