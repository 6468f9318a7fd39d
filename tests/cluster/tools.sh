#!/usr/bin/env bash
# Builds the cluster's tools from the pinned Go modules in tools/, once per machine.
#   tools.sh        build what is missing
#   tools.sh path   the same, then print the folder of the binaries
# The result lies outside the checkout, in ${XDG_CACHE_HOME:-~/.cache}/hostfit/tools-KEY: KEY changes
# with the versions, so a fresh clone on a known machine starts at once. Old folders may be deleted.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd -P)
MODULES=$HERE/tools
KUBERNETES=(kube-apiserver kubectl kube-controller-manager kube-scheduler kubelet kube-proxy)
STRIP="-s -w"

# Whatever the caller's settings are, the pinned modules decide and stay as they are.
export GOFLAGS="-mod=readonly -buildvcs=false" GOWORK=off CGO_ENABLED=0

progress() { printf 'tools: %s\n' "$*" >&2; }

case ${1:-build} in
  build | path) ;;
  *) progress "usage: tools.sh [build|path]"; exit 64 ;;
esac
command -v go >/dev/null || { progress "Go is missing: see tests/cluster/require.sh"; exit 2; }

cache_folder() {
  local key
  key=$(cd "$MODULES" && {
    cat -- */go.mod */go.sum ../pause.c
    declare -f kubernetes_flags helm_flags
    printf '%s\n' "$STRIP" "$GOFLAGS" "$CGO_ENABLED" "$(go version)"
  } | sha256sum | cut -c1-12)
  printf '%s/hostfit/tools-%s\n' "${XDG_CACHE_HOME:-$HOME/.cache}" "$key"
}

module_version() { (cd "$MODULES/$1" && go list -m -f '{{.Version}}' "$2"); }

# Unstamped binaries call themselves v0.0.0, and Helm's kubeVersion checks fail.
kubernetes_flags() {
  local version minor
  version=$(module_version kubernetes k8s.io/kubernetes)
  minor=${version#v1.}
  printf -- '-X %s ' "k8s.io/component-base/version.gitVersion=$version" \
    k8s.io/component-base/version.gitMajor=1 "k8s.io/component-base/version.gitMinor=${minor%%.*}" \
    "k8s.io/client-go/pkg/version.gitVersion=$version"
}
helm_flags() { printf -- '-X %s' "helm.sh/helm/v4/internal/version.version=$(module_version helm helm.sh/helm/v4)"; }

# build MODULE PACKAGE BINARY [FLAGS-FUNCTION]
build() {
  local module=$1 package=$2 binary=$3 flags=${4:-} started=$SECONDS
  [ -x "$CACHE/bin/$binary" ] && return
  progress "building $binary …"
  [ -z "$flags" ] || flags=$($flags)
  # A half-written binary must never be used: a rename is all or nothing.
  (cd "$MODULES/$module" && go build -trimpath -ldflags "$STRIP $flags" -o "$CACHE/tmp/$binary" "$package")
  mv "$CACHE/tmp/$binary" "$CACHE/bin/$binary"
  progress "built $binary in $((SECONDS - started)) s ($(du -m "$CACHE/bin/$binary" | cut -f1) MB)"
}

# KWOK without its CRDs takes its stages from a file; the module's own folder has them.
write_kwok_stages() {
  local folder file
  folder=$(cd "$MODULES/kwok" && go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
  for file in "$folder"/node/fast/node-initialize.yaml "$folder"/node/heartbeat-with-lease/*.yaml "$folder"/pod/fast/*.yaml; do
    grep -q '^kind: Stage' "$file" || continue # the kustomization files lie beside them
    echo ---
    cat "$file"
  done >"$CACHE/tmp/kwok-stages.yaml"
  mv "$CACHE/tmp/kwok-stages.yaml" "$CACHE/kwok-stages.yaml"
}

# The sandbox image's only file.
build_pause() {
  musl-gcc -static -Os -s -o "$CACHE/tmp/pause" "$HERE/pause.c"
  mkdir -p "$CACHE/pause"
  mv "$CACHE/tmp/pause" "$CACHE/pause/pause"
}

complete() {
  local binary
  for binary in "${KUBERNETES[@]}" etcd helm kwok; do
    [ -x "$CACHE/bin/$binary" ] || return 1
  done
  [ -s "$CACHE/kwok-stages.yaml" ] && [ -x "$CACHE/pause/pause" ]
}

build_all() {
  local binary
  mkdir -p "$CACHE/bin" "$CACHE/tmp"
  exec 9>"$CACHE/lock"
  flock -n 9 || { progress "another run is building them: waiting for it …"; flock 9; }
  complete && return
  progress "building the cluster's tools into $CACHE (some ten minutes on two cores, once)"
  build etcd go.etcd.io/etcd/server/v3 etcd
  build helm helm.sh/helm/v4/cmd/helm helm helm_flags
  build kwok sigs.k8s.io/kwok/cmd/kwok kwok
  for binary in "${KUBERNETES[@]}"; do
    build kubernetes "k8s.io/kubernetes/cmd/$binary" "$binary" kubernetes_flags
  done
  write_kwok_stages
  build_pause
}

CACHE=$(cache_folder)
complete || build_all
if [ "${1:-}" = path ]; then
  printf '%s\n' "$CACHE/bin"
fi
