#!/usr/bin/env bash
# Makes and pushes the images of the story: bases with the labels that their vendors give them, and applications on top.
# Usage: images.sh   (with the environment of a running local cluster)
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd -P)
PUSH=$HERE/../cluster/push.sh
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# base NAME:TAG ID VERSION LABEL… : a base image of a distribution.
base() {
  local image=$1 id=$2 version=$3 root=$WORK/${1//[\/:]/_} label options=()
  shift 3
  for label in "$@"; do options+=(--label "$label"); done
  mkdir -p "$root/bin" "$root/etc" "$root/tmp"
  cp "$WORK/program" "$root/bin/program"
  printf 'ID="%s"\nVERSION_ID="%s"\n' "$id" "$version" >"$root/etc/os-release"
  "$PUSH" "$root" "$image" --cmd /bin/program "${options[@]}" >/dev/null
}

# app NAME:TAG OPTION… : an application, one layer more than its base.
app() {
  local image=$1 root=$WORK/${1//[\/:]/_}
  shift
  mkdir -p "$root/srv"
  printf '%s\n' "$image" >"$root/srv/app"
  "$PUSH" "$root" "$image" "$@" >/dev/null
}

# A program that runs on a real node, needs nothing else, and is made without a network.
musl-gcc -static -Os -s -o "$WORK/program" "$HERE/../cluster/pause.c"
base bases/ubi8:8.10 rhel 8.10 name=ubi8 version=8.10 com.redhat.component=ubi8-container "vendor=Red Hat, Inc."
base bases/ubi7:7.9 rhel 7.9 name=ubi7 version=7.9 com.redhat.component=ubi7-container "vendor=Red Hat, Inc."
base bases/rhel6:6.10 rhel 6.10 name=rhel6 version=6.10 com.redhat.component=rhel6-container "vendor=Red Hat, Inc."
app shop/web:1 --base bases/ubi8:8.10
app shop/legacy:1 --base bases/ubi7:7.9
# Its own labels hide the vendor's: only the layers tell what it stands on.
app shop/ledger:1 --base bases/rhel6:6.10 --label name=ledger --label version=3.1 --label com.redhat.component=ledger
# No label, no annotation, no base that anybody follows: only their files tell that the one is Debian 10, and that the
# program of the other is made for newer CPUs than those of the pool.
base shop/quiet:1 debian 10
gcc -Os -s -Wl,-z,x86-64-v3 -o "$WORK/program" "$HERE/../cluster/pause.c"
install -D "$(gcc -print-file-name=ld-linux-x86-64.so.2)" "$WORK/shop_fast_1/lib64/ld-linux-x86-64.so.2"
install -D "$(gcc -print-file-name=libc.so.6)" "$WORK/shop_fast_1/lib64/libc.so.6"
base shop/fast:1 debian 12
app shop/arm:1 --base bases/ubi8:8.10 --arch arm64
[ "${CLUSTER:-local}" = current ] || app team/secret:1 --base bases/ubi8:8.10 --private
