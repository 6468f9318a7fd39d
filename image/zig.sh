#!/usr/bin/env bash
# Programs for another machine: zig compiles the C in them and links them, and brings that machine's musl along. Installs what
# zig.txt pins, once, and prints the folder to put on the PATH.
set -euo pipefail
PINNED=$(cd "$(dirname "$0")" && pwd -P)/zig.txt
HOME_OF_ZIG=${XDG_CACHE_HOME:-$HOME/.cache}/hostfit/zig-$(sha256sum "$PINNED" | cut -c1-12)

if [ ! -e "$HOME_OF_ZIG/complete" ]; then
  rm -rf "$HOME_OF_ZIG"
  if ! python3 -m venv "$HOME_OF_ZIG" >&2; then
    echo "zig: python3 cannot make a virtual environment: apt-get install python3-venv" >&2
    exit 2
  fi
  "$HOME_OF_ZIG/bin/pip" install -q --no-deps --require-hashes -r "$PINNED" >&2
  : >"$HOME_OF_ZIG/complete"
fi
printf '%s\n' "$HOME_OF_ZIG/bin"
