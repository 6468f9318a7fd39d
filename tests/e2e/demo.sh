#!/usr/bin/env bash
# The demo: builds, brings a cluster up, tells the story, cleans up after itself.
#   KEEP=1           keeps the local cluster (`make down` removes it)
#   CLUSTER=current  uses the current context of your kubeconfig, whose administrator you must be, and takes away all that
#                    it made there. No root needed.
#   REGISTRY=…       with CLUSTER=current: where you may push (skopeo login), and nodes and pods may pull without a password
#   PLAIN_HTTP=1     that registry has no TLS; your nodes must know that, too
set -euo pipefail
cd "$(dirname "$0")/../.."

. tests/e2e/cluster.sh
require_cluster
build_image
start_cluster
trap stop_cluster EXIT
tests/e2e/story.sh
