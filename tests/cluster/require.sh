#!/usr/bin/env bash
# Checks everything that a make target needs of the machine, and lists all that is missing at once.
#   require.sh [rust|image|cluster|lab] [--install]
#     rust      make test without root: cargo and a C compiler
#     image     make image, make demo CLUSTER=current: the same, and what the image is made with
#     cluster   make demo, make test as root: the same, and what the local cluster needs; this is the default
#   lab       make lab, and its fast cases in make test: rust, image, and machines in software
#   browser   make test, for the page of reports: rust, and a browser
#   --install first installs the missing Debian packages (CI)
# Exit 0: all is there; 2: something is missing; 3: the cluster needs root.
# Services that a package starts by itself do no harm: the cluster has sockets, roots and addresses of its own.
set -euo pipefail

GO_MODULES=$(cd "$(dirname "$0")" && pwd -P)/tools
RUSTUP="https://rustup.rs (a new shell, or: . ~/.cargo/env)"

# what for, command, Debian package, why
COMMANDS="
rust    cc             build-essential compiling C code of Rust crates
image   musl-gcc       musl-tools      static binaries for the image
image   readelf        binutils        checking that the binaries are static
image   jq             jq              making images
image   tar            tar             making images
image   gzip           gzip            making images
image   sha256sum      coreutils       making images
cluster ip             iproute2        the cluster's network namespace
cluster nsenter        util-linux      running things inside that namespace
cluster setsid         util-linux      components that outlive the script
cluster flock          util-linux      one build of the tools at a time
cluster mount          mount           the kubelet's volumes
cluster sysctl         procps          IP forwarding for pods
cluster iptables       iptables        Services (kube-proxy)
cluster containerd     containerd      running containers
cluster runc           runc            running containers
cluster docker-registry docker-registry the two image registries
cluster skopeo         skopeo          pushing images
cluster openssl        openssl         the cluster's certificates
lab     qemu-system-x86_64 qemu-system-x86 machines with kernels and CPUs of our choice
lab     qemu-x86_64-static qemu-user-static programs under another kernel's number
lab     depmod         kmod            what modules need
lab     xz             xz-utils        unpacking modules
lab     pip3           python3-pip     Java runtimes
browser chromium       chromium        looking at pages
"
CERTIFICATES=/etc/ssl/certs/ca-certificates.crt
CNI_FOLDER=/usr/lib/cni
CNI_PLUGINS="bridge host-local loopback portmap"

missing=()  # lines for people
packages=() # Debian packages that cure them

needs() { [[ " $PARTS " == *" $1 "* ]]; }

lacks() { # WHAT WHY HOW
  missing+=("$(printf '  %-18s %-48s %s' "$1" "$2" "$3")")
}

lacks_package() { # WHAT WHY PACKAGE
  lacks "$1" "$2" "apt-get install $3"
  packages+=("$3")
}

check_commands() {
  local part command package why plugin
  while read -r part command package why; do
    needs "${part:-nothing}" || continue
    command -v "$command" >/dev/null || lacks_package "$command" "$why" "$package"
  done <<<"$COMMANDS"
  if needs image && [ ! -s "$CERTIFICATES" ]; then
    lacks_package "$CERTIFICATES" "the authorities that the image trusts" ca-certificates
  fi
  needs cluster || return 0
  for plugin in $CNI_PLUGINS; do
    [ -x "$CNI_FOLDER/$plugin" ] || lacks_package "$CNI_FOLDER/$plugin" "the pods' network" containernetworking-plugins
  done
}

# Debian's Rust is too old, so apt is no cure.
check_rust() {
  command -v cargo >/dev/null || { lacks cargo "building Hostfit" "$RUSTUP"; return; }
  needs image || return 0
  command -v rustup >/dev/null || lacks rustup "the Rust target of static binaries" "$RUSTUP"
}

# Debian's Node.js is too old, so apt is no cure.
check_node() {
  local needed=20 have=0
  command -v npm >/dev/null && have=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  [ "$have" -ge "$needed" ] || lacks "node $needed, npm" "steering the browser" "https://nodejs.org"
}

# Debian's Go is too old for these modules, so apt is no cure.
check_go() {
  local needed have
  needed=$(sed -n 's/^go //p' "$GO_MODULES"/*/go.mod | sort -V | tail -n 1)
  if ! command -v go >/dev/null; then
    lacks go "building the Kubernetes tools" "install Go $needed or newer (https://go.dev/dl/)"
    return
  fi
  # Asked outside any module, so that Go does not go and fetch another version of itself.
  have=$(cd / && go env GOVERSION)
  have=${have#go}
  [ "$(printf '%s\n' "$needed" "${have%% *}" | sort -V | head -n 1)" = "$needed" ] && return
  case $(cd / && go env GOTOOLCHAIN) in
    local) lacks "go $needed" "building the Kubernetes tools (here: $have)" "install Go $needed or newer (https://go.dev/dl/), or set GOTOOLCHAIN=auto" ;;
  esac
}

# What the kernel, or the sandbox around us, may refuse even to root.
check_kernel() {
  local how="use a virtual machine, or a privileged container"
  [ "$(uname -s)" = Linux ] || { lacks Linux "containers, network namespaces" "$how"; return; }
  command -v unshare >/dev/null && command -v ip >/dev/null && command -v iptables >/dev/null || return 0
  unshare --net true 2>/dev/null || { lacks "network namespace" "the cluster lives in one" "$how"; return; }
  unshare --net ip link add probe type bridge 2>/dev/null || lacks "bridge interfaces" "the pods' network" "modprobe bridge; else $how"
  unshare --net iptables -w -t nat -L -n >/dev/null 2>&1 || lacks "iptables nat table" "Services (kube-proxy)" "modprobe ip_tables nf_nat; else $how"
  unshare --net sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward' 2>/dev/null || lacks "writable /proc/sys" "IP forwarding for pods" "$how"
  [ -w /sys/fs/cgroup ] || lacks "writable cgroups" "the kubelet" "$how"
}

check() {
  missing=() packages=()
  check_rust
  check_commands
  if needs browser; then check_node; fi
  needs cluster || return 0
  check_go
  check_kernel
}

INSTALL='' PARTS="rust image cluster"
for argument in "$@"; do
  case $argument in
    rust) PARTS=rust ;;
    image) PARTS="rust image" ;;
    cluster) ;;
    lab) PARTS="rust image lab" ;;
    browser) PARTS="rust browser" ;;
    --install) INSTALL=yes ;;
    *) sed -n '2,/^set/{/^set/d;s/^# //p}' "$0" >&2; exit 64 ;;
  esac
done
if needs cluster && [ "$(id -u)" != 0 ]; then
  echo "The local cluster needs root (network namespaces, containerd, the kubelet): run it with sudo, or use a cluster of your own (make demo CLUSTER=current)." >&2
  exit 3
fi

check
if [ -n "$INSTALL" ] && [ ${#packages[@]} -gt 0 ]; then
  mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
  echo "Installing: ${packages[*]}" >&2
  # Only what is missing: on a machine with Docker, Debian's containerd would push out Docker's.
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >&2
  apt-get install -q -y --no-install-recommends "${packages[@]}" >&2
  hash -r
  check
fi
[ ${#missing[@]} -eq 0 ] && exit 0

{
  case $PARTS in
    *cluster) echo "The local cluster cannot start here. Missing:" ;;
    *lab) echo "The lab cannot run here. Missing:" ;;
    *browser) echo "Pages cannot be looked at here. Missing:" ;;
    *image) echo "The image cannot be built here. Missing:" ;;
    *) echo "Nothing can be built here. Missing:" ;;
  esac
  printf '%s\n' "${missing[@]}"
  if [ ${#packages[@]} -gt 0 ]; then
    echo "Debian or Ubuntu, all at once, as root:"
    echo "  apt-get install --no-install-recommends $(printf '%s\n' "${packages[@]}" | sort -u | paste -sd ' ')"
    echo "  (or: tests/cluster/require.sh ${PARTS##* } --install)"
  fi
} >&2
exit 2
