#!/usr/bin/env bash
# Makes what a release offers besides image and chart. Usage: folder.sh BINARY FOLDER VERSION
#   hostfit_VERSION_linux_ARCH.tar.gz   the program as hostfit and kubectl-hostfit, completions, licence
#   completions/                        for bash, zsh, fish, PowerShell and kubectl
#   k9s/ argo-cd/ krew/                 for those programs
#   checksums.txt
# The same binary and SOURCE_DATE_EPOCH (default 0) give the same bytes.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd -P)

fail() {
  printf 'release: %s\n' "$*" >&2
  exit 1
}
[ $# -eq 3 ] || fail "usage: folder.sh BINARY FOLDER VERSION"
BINARY=$1 FOLDER=${2%/} VERSION=$3
[ -x "$BINARY" ] || fail "$BINARY is missing: build it first"
said=$("$BINARY" version)
[[ $said == "hostfit $VERSION,"* ]] || fail "$BINARY says it is \"$said\", not version $VERSION"
case $(readelf --file-header "$BINARY" | sed -n 's/^ *Machine: *//p') in
  *X86-64*) ARCHITECTURE=amd64 ;;
  AArch64*) ARCHITECTURE=arm64 ;;
  *) fail "$BINARY is for a machine that we do not release for" ;;
esac

rm -rf "$FOLDER"
mkdir -p "$FOLDER"/{completions,k9s,argo-cd,krew}
"$BINARY" completion bash >"$FOLDER/completions/hostfit.bash"
"$BINARY" completion zsh >"$FOLDER/completions/_hostfit"
"$BINARY" completion fish >"$FOLDER/completions/hostfit.fish"
"$BINARY" completion powershell >"$FOLDER/completions/hostfit.ps1"
"$BINARY" completion kubectl >"$FOLDER/completions/kubectl_complete-hostfit"
chmod 755 "$FOLDER/completions/kubectl_complete-hostfit"
cp "$HERE/k9s/hostfit.yaml" "$FOLDER/k9s/"
cp "$HERE/argo-cd/health.lua" "$FOLDER/argo-cd/"

ARCHIVE=hostfit_${VERSION}_linux_$ARCHITECTURE.tar.gz
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
install -m 755 "$BINARY" "$WORK/hostfit"
ln "$WORK/hostfit" "$WORK/kubectl-hostfit"
cp -r "$FOLDER/completions" "$WORK/"
cp "$HERE/../LICENSE" "$WORK/"
tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u+rw,go-w --mtime="@${SOURCE_DATE_EPOCH:-0}" -C "$WORK" -cf - . |
  gzip -n -9 >"$FOLDER/$ARCHIVE"
sum=$(sha256sum "$FOLDER/$ARCHIVE")
sed "s/@VERSION@/$VERSION/g; s/@ARCHITECTURE@/$ARCHITECTURE/; s/@ARCHIVE@/$ARCHIVE/; s/@SHA256@/${sum%% *}/" \
  "$HERE/krew/hostfit.yaml" >"$FOLDER/krew/hostfit.yaml"
(cd "$FOLDER" && find . -type f ! -name checksums.txt -printf '%P\n' | sort | xargs sha256sum >"$WORK/checksums" && mv "$WORK/checksums" checksums.txt)
printf '%s\n' "$FOLDER"
