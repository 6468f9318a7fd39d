#!/usr/bin/env bash
# profiles.sh VERSION  brings the source of a containerd's default seccomp profile from Go's module proxy.
set -euo pipefail
LAB=${LAB:-target/lab}
version=$1
module=github.com/containerd/containerd
case $version in 2.*) module=$module/v2 ;; esac
mkdir -p "$LAB/profiles"
folder=$(cd / && go mod download -json "$module@v$version" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
[ -n "$folder" ] || { echo "lab: Go's module proxy has no $module@v$version" >&2; exit 1; }
cp "$folder/contrib/seccomp/seccomp_default.go" "$LAB/profiles/containerd-$version.go"
