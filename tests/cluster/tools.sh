#!/usr/bin/env bash
# Builds the cluster's tools from the pinned Go modules in tools/, once per machine.
#   tools.sh        build what is missing
#   tools.sh path   the same, then print the folder of the binaries
# The result lies outside the checkout, in ${XDG_CACHE_HOME:-~/.cache}/hostfit: a folder FAMILY-KEY for each family of
# tools, where KEY changes with its versions and its recipe, and tools-KEY, which holds links to all of them. So a fresh
# clone on a known machine starts at once, and a new tool makes no other be built again. Old folders may be deleted.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd -P)
MODULES=$HERE/tools
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/hostfit
STRIP="-s -w"

# Whatever the caller's settings are, the pinned modules decide and stay as they are.
export GOFLAGS="-mod=readonly -buildvcs=false" GOWORK=off CGO_ENABLED=0

progress() { printf 'tools: %s\n' "$*" >&2; }

case ${1:-build} in
  build | path) ;;
  *) progress "usage: tools.sh [build|path]"; exit 64 ;;
esac
command -v go >/dev/null || { progress "Go is missing: see tests/cluster/require.sh"; exit 2; }

# The families: each function is the recipe of one, and part of its key. It runs in the family's module.
FAMILIES=(etcd helm helm3 kwok kubernetes pause)

family_etcd() { build go.etcd.io/etcd/server/v3 etcd; }

family_helm() {
  build helm.sh/helm/v4/cmd/helm helm "-X helm.sh/helm/v4/internal/version.version=$(module_version helm.sh/helm/v4)"
}

# The oldest Helm that the chart must work with. It believes in the Kubernetes that it was built with.
family_helm3() {
  local minor
  minor=$(module_version k8s.io/client-go | cut -d . -f 2)
  build helm.sh/helm/v3/cmd/helm helm3 "-X helm.sh/helm/v3/internal/version.version=$(module_version helm.sh/helm/v3) $(
    printf -- '-X helm.sh/helm/v3/pkg/%s ' "lint/rules.k8sVersionMajor=1" "lint/rules.k8sVersionMinor=$minor" \
      "chartutil.k8sVersionMajor=1" "chartutil.k8sVersionMinor=$minor")"
}

family_kwok() {
  local folder file
  build sigs.k8s.io/kwok/cmd/kwok kwok
  # KWOK without its CRDs takes its stages from a file; the module's own folder has them.
  folder=$(go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
  for file in "$folder"/node/fast/node-initialize.yaml "$folder"/node/heartbeat-with-lease/*.yaml "$folder"/pod/fast/*.yaml; do
    grep -q '^kind: Stage' "$file" || continue # the kustomization files lie beside them
    echo ---
    cat "$file"
  done >"$INTO/kwok-stages.yaml"
}

family_kubernetes() {
  local version minor stamp binary
  # Unstamped binaries call themselves v0.0.0, and Helm's kubeVersion checks fail.
  version=$(module_version k8s.io/kubernetes)
  minor=${version#v1.}
  stamp=$(printf -- '-X %s ' "k8s.io/component-base/version.gitVersion=$version" \
    k8s.io/component-base/version.gitMajor=1 "k8s.io/component-base/version.gitMinor=${minor%%.*}" \
    "k8s.io/client-go/pkg/version.gitVersion=$version")
  for binary in kube-apiserver kubectl kube-controller-manager kube-scheduler kubelet kube-proxy; do
    build "k8s.io/kubernetes/cmd/$binary" "$binary" "$stamp"
  done
}

# The sandbox image's only file.
family_pause() {
  mkdir -p "$INTO/pause"
  musl-gcc -static -Os -s -o "$INTO/pause/pause" "$HERE/pause.c"
}

module_version() { go list -m -f '{{.Version}}' "$1"; }

# build PACKAGE BINARY [LINKER-FLAGS]
build() {
  local started=$SECONDS
  [ -x "$INTO/bin/$2" ] && return
  progress "building $2 …"
  mkdir -p "$INTO/bin"
  # An interrupted run goes on where it was, so a half-written binary must never have the binary's name.
  go build -trimpath -ldflags "$STRIP ${3:-}" -o "$INTO/half-written" "$1"
  mv "$INTO/half-written" "$INTO/bin/$2"
  progress "built $2 in $((SECONDS - started)) s ($(du -m "$INTO/bin/$2" | cut -f1) MB)"
}

key() { sha256sum | cut -c1-12; }

# family_folder FAMILY
family_folder() {
  printf '%s/%s-%s\n' "$CACHE" "$1" "$({
    cat -- "$MODULES/$1"/go.{mod,sum} 2>/dev/null || cat -- "$HERE/$1.c"
    declare -f "family_$1" module_version build
    printf '%s\n' "$STRIP" "$GOFLAGS" "$CGO_ENABLED" "$GO_VERSION"
  } | key)"
}

# A folder has its last name only when all is in it.
build_all() {
  local family folder
  mkdir -p "$CACHE"
  exec 9>"$CACHE/tools.lock"
  flock -n 9 || { progress "another run is building them: waiting for it …"; flock 9; }
  [ ! -d "$TOOLS" ] || return 0
  progress "building the cluster's tools into $CACHE (some ten minutes on two cores, once)"
  rm -rf "$TOOLS.part"
  mkdir "$TOOLS.part"
  for family in "${FAMILIES[@]}"; do
    folder=$(family_folder "$family")
    if [ ! -d "$folder" ]; then
      INTO=$folder.part
      mkdir -p "$INTO"
      if [ -d "$MODULES/$family" ]; then cd "$MODULES/$family"; fi
      "family_$family"
      mv "$INTO" "$folder"
    fi
    cp -al "$folder/." "$TOOLS.part"
  done
  mv "$TOOLS.part" "$TOOLS"
}

GO_VERSION=$(go version)
TOOLS=$CACHE/tools-$(for family in "${FAMILIES[@]}"; do family_folder "$family"; done | key)
[ -d "$TOOLS" ] || build_all
if [ "${1:-}" = path ]; then
  printf '%s\n' "$TOOLS/bin"
fi
