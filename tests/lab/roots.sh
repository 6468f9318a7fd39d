#!/usr/bin/env bash
# roots.sh NAME  makes LAB/roots/NAME, a root file system that cases name: packages of a suite, or a program of programs/
# with the C library of a suite.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/lab/debian.sh
PROGRAMS=$PWD/tests/lab/programs

# A folder with the headers and start files of a suite, for the machine's own compiler.
development() { # SUITE
  local to=$LAB/development/$1
  if [ ! -e "$to" ]; then
    rm -rf "$to.new"
    case $1 in
      bullseye) debian_take "$1" "$to.new" libc6 libc6-dev linux-libc-dev libcrypt1 liburing1 liburing-dev ;;
      *) debian_take "$1" "$to.new" libc6 libc6-dev linux-libc-dev liburing2 liburing-dev ;;
    esac
    # Since trixie the folders of the root are links that another package makes.
    for link in lib lib64; do
      [ -e "$to.new/$link" ] || { [ -e "$to.new/usr/$link" ] && ln -s "usr/$link" "$to.new/$link"; } || true
    done
    mv "$to.new" "$to"
  fi
  echo "$to"
}

compile() { # SUITE OUTPUT SOURCE… FLAGS…
  local suite=$1 output=$2
  shift 2
  mkdir -p "$(dirname "$output")"
  gcc --sysroot="$(development "$suite")" -O1 "$@" -o "$output"
}

# A root with the C library of a suite and a few packages.
base() { # SUITE PACKAGE…
  local suite=$1
  shift
  debian_take "$suite" "$ROOT" base-files libc6 "$@"
  merge
}

# What usrmerge and the packages' scripts would have done.
merge() {
  local folder
  for folder in bin sbin lib lib64; do
    if [ -d "$ROOT/$folder" ] && [ ! -L "$ROOT/$folder" ]; then
      mkdir -p "$ROOT/usr/$folder"
      cp -a "$ROOT/$folder/." "$ROOT/usr/$folder/"
      rm -rf "${ROOT:?}/$folder"
    fi
    mkdir -p "$ROOT/usr/$folder"
    ln -sfn "usr/$folder" "$ROOT/$folder"
  done
  mkdir -p "$ROOT"/{etc,dev,proc,sys,tmp,run,root}
}

# A program with the C library of a suite: SUITE SOURCE FLAGS…
program() {
  local suite=$1 source=$2
  shift 2
  base "$suite"
  compile "$suite" "$ROOT/app" "$PROGRAMS/$source" "$@"
}

# A program and the library beside it: SUITE, then flags of the library.
with_library() {
  local suite=$1
  shift
  base "$suite"
  compile "$suite" "$ROOT/usr/lib/x86_64-linux-gnu/libanswer.so" "$PROGRAMS/lib.c" -shared -fPIC "$@"
  compile "$suite" "$ROOT/app" "$PROGRAMS/uses-lib.c" -L"$ROOT/usr/lib/x86_64-linux-gnu" -lanswer
}

go_program() { # GOAMD64
  GOAMD64=$1 GOOS=linux GOARCH=amd64 CGO_ENABLED=0 GOCACHE=$LAB/go GOFLAGS=-trimpath \
    go build -o "$ROOT/app" "$PROGRAMS/ran.go"
}

make_root() {
  case $1 in
    headers) debian_take sid "$ROOT" linux-libc-dev ;;
    uname) debian_take bookworm "$ROOT" busybox-static ;;
    isa-v[1-4]) program bookworm ran.c -Wl,-z,x86-64-"${1#isa-}" ;;
    isa-bullseye-v3) program bullseye ran.c -Wl,-z,x86-64-v3 ;;
    isa-trixie-v3) program trixie ran.c -Wl,-z,x86-64-v3 ;;
    library-v[1-4]) with_library bookworm -Wl,-z,x86-64-"${1#library-}" ;;
    library-bullseye-v3) with_library bullseye -Wl,-z,x86-64-v3 ;;
    go-v[1-4]) go_program "${1#go-}" ;;
    *) echo "lab: no root $1" >&2; return 1 ;;
  esac
}

ROOT=$LAB/roots/$1.new
rm -rf "$ROOT"
mkdir -p "$ROOT"
make_root "$1" >&2
mv "$ROOT" "$LAB/roots/$1"
