#!/usr/bin/env bash
# The arrows between crates, as ARCHITECTURE.md promises them: each line is a dependency that must not exist.
set -euo pipefail
cd "$(dirname "$0")/.."

uses() { cargo tree --locked -p "hostfit-$1" -e normal -i "$2" >/dev/null 2>&1; }

# Without a positive control the absence of an arrow would mean nothing.
uses registry tokio || { echo "architecture: cargo tree does not even find that registry uses tokio" >&2; exit 1; }
uses webhook kube || { echo "architecture: cargo tree does not even find that webhook uses kube" >&2; exit 1; }

failed=0
never() {
  local crate=$1 other
  shift
  for other in "$@"; do
    if uses "$crate" "$other"; then
      echo "architecture: $crate must not depend on $other" >&2
      failed=1
    fi
  done
}
never engine tokio kube k8s-openapi reqwest oci-client hyper serde_json
never registry kube k8s-openapi hostfit-crds
never crds tokio reqwest hostfit-registry
never process hostfit-engine hostfit-crds hostfit-registry
never webhook hostfit-operator hostfit-cli hostfit-agent hostfit-host
never operator hostfit-webhook hostfit-cli hostfit-agent hostfit-host
never host kube hostfit-crds hostfit-registry tokio
never cli hostfit-webhook hostfit-operator hostfit-process hostfit-agent
never agent hostfit-webhook hostfit-operator hostfit-registry hostfit-cli

# One concept a file; the tests are left out.
while read -r file; do
  lines=$(awk '/^#\[cfg\(test\)\]/{exit} {n++} END{print n+0}' "$file")
  if [ "$lines" -gt 400 ]; then
    echo "architecture: $file has $lines lines before its tests; 400 are the limit" >&2
    failed=1
  fi
done < <(git ls-files '*.rs' ':!tests' ':!*/tests.rs' ':!*/tests/*')

# Names that people see are spelled in one place.
while read -r file; do
  if awk '/^#\[cfg\(test\)\]/{exit} /"hostfit\.dev\//{print FILENAME": "$0; found=1} END{exit !found}' "$file"; then
    echo "architecture: labels are spelled in crds/src/names.rs only, those of images in engine/src/lineage/author.rs" >&2
    failed=1
  fi
done < <(git ls-files '*.rs' ':!crds/src/names.rs' ':!engine/src/lineage/author.rs' ':!tests' ':!*/tests.rs' ':!*/tests/*')

grep -q 'dry_run: true' cli/src/doctor/read.rs || { echo "architecture: the pod of doctor is created for real" >&2; failed=1; }
# Only these files write to the cluster: nobody else has the parameters that a write takes. (doctor asks what it may, and whether
# the webhook answers, by writes that change nothing: dry runs and reviews of access.)
if git grep -nE '(Patch|Post|Delete)Params' -- 'operator/src' 'webhook/src' 'process/src' 'crds/src' 'agent/src' 'cli/src' \
  | grep -vE '^(operator/src/apply\.rs|process/src/lease(/[a-z]+)?\.rs|agent/src/publish\.rs|cli/src/(except|doctor/read)\.rs):'; then
  echo "architecture: only operator/src/apply.rs, process/src/lease.rs, agent/src/publish.rs and cli/src/except.rs write to the cluster" >&2
  failed=1
fi
exit "$failed"
