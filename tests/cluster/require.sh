#!/usr/bin/env bash
# Checks everything that the local cluster needs of the machine, and lists all that is missing at once.
#   require.sh             exit 0: all is there; 2: something is missing; 3: the cluster needs root
#   require.sh --install   first installs the missing Debian packages (CI)
# Services that a package starts by itself do no harm: the cluster has sockets, roots and addresses of its own.
set -euo pipefail

GO_MODULES=$(cd "$(dirname "$0")" && pwd -P)/tools

# command, Debian package, what it is for
COMMANDS="
ip             iproute2        the cluster's network namespace
nsenter        util-linux      running things inside that namespace
setsid         util-linux      components that outlive the script
flock          util-linux      one build of the tools at a time
mount          mount           the kubelet's volumes
sysctl         procps          IP forwarding for pods
iptables       iptables        Services (kube-proxy)
containerd     containerd      running containers
runc           runc            running containers
docker-registry docker-registry the two image registries
skopeo         skopeo          pushing images
jq             jq              making images
tar            tar             making images
gzip           gzip            making images
sha256sum      coreutils       making images
readelf        binutils        checking that the Hostfit binaries are static
openssl        openssl         the cluster's certificates
musl-gcc       musl-tools      the pause image
"
CNI_FOLDER=/usr/lib/cni
CNI_PLUGINS="bridge host-local loopback portmap"

missing=()  # lines for people
packages=() # Debian packages that cure them

lacks() { # WHAT WHY HOW
  missing+=("$(printf '  %-18s %-48s %s' "$1" "$2" "$3")")
}

lacks_package() { # WHAT WHY PACKAGE
  lacks "$1" "$2" "apt-get install $3"
  packages+=("$3")
}

check_commands() {
  local command package why plugin
  while read -r command package why; do
    [ -n "$command" ] || continue
    command -v "$command" >/dev/null || lacks_package "$command" "$why" "$package"
  done <<<"$COMMANDS"
  for plugin in $CNI_PLUGINS; do
    [ -x "$CNI_FOLDER/$plugin" ] || lacks_package "$CNI_FOLDER/$plugin" "the pods' network" containernetworking-plugins
  done
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
  check_commands
  check_go
  check_kernel
}

if [ "$(id -u)" != 0 ]; then
  echo "The local cluster needs root (network namespaces, containerd, the kubelet): run it with sudo, or use a cluster of your own." >&2
  exit 3
fi

check
if [ "${1:-}" = --install ] && [ ${#packages[@]} -gt 0 ]; then
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
  echo "The local cluster cannot start here. Missing:"
  printf '%s\n' "${missing[@]}"
  if [ ${#packages[@]} -gt 0 ]; then
    echo "Debian or Ubuntu, all at once:"
    echo "  apt-get install --no-install-recommends $(printf '%s\n' "${packages[@]}" | sort -u | paste -sd ' ')"
    echo "  (or: tests/cluster/require.sh --install)"
  fi
} >&2
exit 2
