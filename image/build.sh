#!/usr/bin/env bash
# Builds the Hostfit image without a container engine. Usage: build.sh VERSION OUT_LAYOUT PROGRAM…
# A PROGRAM is the static hostfit-image for one platform; OUT_LAYOUT becomes an OCI layout: of one image, or of an index if
# there are several.
# The same program, certificates and SOURCE_DATE_EPOCH (default 0) give the same digest.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd -P)
. "$HERE/oci.sh"

LIMIT=25000000 # bytes of the compressed layer: every node pulls it before it can start
NAMES=(hostfit-webhook hostfit-operator hostfit-agent) # what else the program is called by, see src/main.rs
CERTIFICATES=/etc/ssl/certs/ca-certificates.crt

fail() {
  printf 'image: %s\n' "$*" >&2
  exit 1
}

# The image has no dynamic loader: a program that asks for one starts nowhere.
require_static() {
  [ -f "$1" ] || fail "$1 is missing: build it first"
  readelf --file-header "$1" >/dev/null 2>&1 || fail "$1 is no ELF binary"
  if readelf --program-headers --wide "$1" | grep -qw INTERP; then
    fail "$1 is not static (it asks for a loader): build it for a musl target"
  fi
}

architecture() {
  case $(readelf --file-header "$1" | sed -n 's/^ *Machine: *//p') in
    *X86-64*) echo amd64 ;;
    AArch64*) echo arm64 ;;
    *) fail "$1 is for a machine that we do not release for" ;;
  esac
}

fill_rootfs() { # PROGRAM ROOTFS
  local name
  install -d -m 755 "$2" "$2/usr" "$2/usr/bin" "$2/etc" "$2/etc/ssl" "$2/etc/ssl/certs"
  install -m 755 "$1" "$2/usr/bin/hostfit"
  for name in "${NAMES[@]}"; do
    ln -s hostfit "$2/usr/bin/$name"
  done
  install -m 644 "$CERTIFICATES" "$2$CERTIFICATES"
  echo 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin' >"$2/etc/passwd"
  echo 'nonroot:x:65532:' >"$2/etc/group"
  chmod 644 "$2/etc/passwd" "$2/etc/group"
}

# No entrypoint: the chart names the program, and nobody starts the wrong one by chance.
specification() { # ARCHITECTURE VERSION
  jq -n --arg architecture "$1" --arg version "$2" --arg source "${IMAGE_SOURCE:-https://hostfit.dev}" '
    {"org.opencontainers.image.title": "hostfit",
     "org.opencontainers.image.version": $version,
     "org.opencontainers.image.source": $source,
     "org.opencontainers.image.licenses": "Apache-2.0"} as $labels
    | {architecture: $architecture, os: "linux", annotations: $labels,
       config: {User: "65532:65532", WorkingDir: "/", Env: ["PATH=/usr/bin"], Labels: $labels}}'
}

# Makes the image of one platform and tells its size.
build() { # VERSION LAYOUT PROGRAM
  local architecture digest size rootfs=$WORK/${2##*/}.root
  require_static "$3"
  architecture=$(architecture "$3")
  fill_rootfs "$3" "$rootfs"
  digest=$(oci_image "$2" "$rootfs" "$(specification "$architecture" "$1")")
  size=$(oci_manifest "$2" | jq '.layers[0].size')
  if [ "$size" -gt "$LIMIT" ]; then
    rm -rf "$2"
    fail "the compressed layer for $architecture has $size bytes, more than $LIMIT: strip the program, or drop a dependency"
  fi
  printf '%s %s bytes linux/%s\n' "$digest" "$size" "$architecture"
}

[ $# -ge 3 ] || fail "usage: build.sh VERSION OUT_LAYOUT PROGRAM…"
VERSION=$1 LAYOUT=${2%/}
shift 2
[ -s "$CERTIFICATES" ] || fail "$CERTIFICATES is missing: apt-get install ca-certificates"
mkdir -p "$(dirname "$LAYOUT")"
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
if [ $# = 1 ]; then
  build "$VERSION" "$LAYOUT" "$1"
else
  images=()
  for program in "$@"; do
    images+=("$WORK/${#images[@]}")
    build "$VERSION" "${images[-1]}" "$program"
  done
  printf '%s index of %s platforms\n' "$(oci_index "$LAYOUT" "${images[@]}")" $#
fi
