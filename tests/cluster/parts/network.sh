# shellcheck shell=bash
# The network namespace and the cgroup that hold the whole cluster.

make_network() {
  component network
  ip netns add "$NETNS"
  in_ns ip link set lo up
  # A bridge without ports is the node's interface: not every kernel has the `dummy` type.
  in_ns ip link add eth0 type bridge
  in_ns ip address add "$NODE_IP/24" dev eth0
  in_ns ip link set eth0 up
  # Components refuse to choose an address when there is no default route.
  in_ns ip route add default via "$NODE_IP"
  in_ns sysctl -qw net.ipv4.ip_forward=1
}

# The cgroup's folders: one on cgroup v2, one per controller on v1.
cgroup_folders() {
  local root
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    printf '%s\n' "/sys/fs/cgroup/$CGROUP"
    return
  fi
  for root in /sys/fs/cgroup/*/; do
    [ -w "${root}cgroup.procs" ] && printf '%s\n' "$root$CGROUP"
  done
}

make_cgroup() {
  local folder file controller controllers
  component cgroup
  while read -r folder; do
    mkdir -p "$folder"
    # cgroup v1: a new cpuset is empty, and an empty one takes no process.
    for file in cpuset.mems cpuset.cpus; do
      [ ! -f "$folder/$file" ] || cat "$folder/../$file" >"$folder/$file"
    done
  done < <(cgroup_folders)
  # cgroup v2: the kubelet insists on these controllers in its root.
  [ -f /sys/fs/cgroup/cgroup.controllers ] || return 0
  read -ra controllers </sys/fs/cgroup/cgroup.controllers
  for controller in "${controllers[@]}"; do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control || true
    echo "+$controller" >"/sys/fs/cgroup/$CGROUP/cgroup.subtree_control" || true
  done 2>/dev/null
}

# Ids of everything that runs in the cluster's pods.
pod_processes() {
  local folder
  while read -r folder; do
    [ ! -d "$folder" ] || find "$folder" -name cgroup.procs -exec cat {} +
  done < <(cgroup_folders) 2>/dev/null | sort -un
}

remove_cgroup() {
  local folder
  while read -r folder; do
    [ ! -d "$folder" ] || find "$folder" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  done < <(cgroup_folders)
}
