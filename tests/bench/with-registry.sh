#!/usr/bin/env bash
# Runs a command beside a docker-registry that knows nothing yet. Usage: with-registry.sh SCRATCH COMMAND…
# The command gets --registry HOST:PORT.
set -euo pipefail
SCRATCH=$1
shift
HOST=127.0.0.1:5000
mkdir "$SCRATCH/registry"
cat >"$SCRATCH/registry.yaml" <<YAML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: "$SCRATCH/registry"}}
http: {addr: "$HOST", secret: throwaway}
YAML
docker-registry serve "$SCRATCH/registry.yaml" >"$SCRATCH/registry.log" 2>&1 &
REGISTRY=$!
trap 'kill "$REGISTRY"; wait "$REGISTRY" || true' EXIT
for _ in $(seq 100); do
  (exec 3<>"/dev/tcp/${HOST/://}") 2>/dev/null && break
  kill -0 "$REGISTRY" || { cat "$SCRATCH/registry.log" >&2; exit 1; }
  sleep 0.1
done
"$@" --registry "$HOST"
