#!/usr/bin/env bash
# The demo: builds, brings a cluster up, tells the story, cleans up after itself.
#   KEEP=1           keeps the local cluster (`make down` removes it)
#   CLUSTER=current  uses the current context of your kubeconfig; set REGISTRY to one that you may push to and your
#                    nodes may pull from, without TLS as PLAIN_HTTP=1
set -euo pipefail
cd "$(dirname "$0")/../.."

. tests/e2e/cluster.sh
require_cluster
build_image
start_cluster
trap stop_cluster EXIT
tests/e2e/story.sh
