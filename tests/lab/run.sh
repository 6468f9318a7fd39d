#!/usr/bin/env bash
# The laboratory: every case on a real kernel, and docs/lab.md rewritten with what was said of it and what became of it.
#   run.sh          all cases (make lab)
#   run.sh fast     a few of them, for make test: without root, QEMU or Debian it says so, and passes
#   run.sh NAME…    the cases whose names begin so
# Kernels, packages and roots are kept in target/lab.
set -euo pipefail
cd "$(dirname "$0")/../.."

TARGET=x86_64-unknown-linux-musl
missing=
[ "$(uname -m)" = x86_64 ] || missing+=" an x86-64 machine;"
[ "$(id -u)" = 0 ] || missing+=" root;"
for command in qemu-system-x86_64 qemu-x86_64-static depmod xz gcc jq go dpkg-deb; do
  command -v "$command" >/dev/null || missing+=" $command;"
done
[ -s /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=" Debian's keys (debian-archive-keyring);"
if [ -n "$missing" ]; then
  echo "lab: NOT run, for it needs:$missing see tests/cluster/require.sh lab" >&2
  [ "${1:-}" = fast ] && exit 0
  exit 2
fi

rustup target list --installed | grep -qx $TARGET || rustup target add $TARGET
cargo build -q --locked --profile dist --target $TARGET -p hostfit-lab-guest
cargo build -q --locked -p hostfit-cli -p hostfit-lab
# What was made by other scripts is made again; what was downloaded stays.
made=$(cat tests/lab/*.sh tests/lab/programs/* | sha256sum)
if [ "$(cat target/lab/made 2>/dev/null)" != "$made" ]; then
  rm -rf target/lab/{kernels,roots,layouts,ordinary,development,profiles}
  mkdir -p target/lab && echo "$made" >target/lab/made
fi
lab() { target/debug/hostfit-lab --hostfit target/debug/hostfit --guest target/$TARGET/dist/lab-guest "$@"; }
case ${1:-} in
  '') lab --table docs/lab.md && tests/lab/ordinary.sh ;;
  fast) lab --fast && tests/lab/ordinary.sh fast ;;
  *) lab "$@" ;;
esac
