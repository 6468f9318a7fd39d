# shellcheck shell=bash
# The one real node: containerd, the kubelet, kube-proxy. Needs STATE and TOOLS.

start_node() {
  write_containerd_settings
  start containerd containerd --config "$STATE/containerd/config.toml" --log-level warn
  wait_for containerd 20 test -S "$STATE/containerd/containerd.sock"

  write_kubelet_settings
  start kubelet "$TOOLS/kubelet" --config="$STATE/kubelet.yaml" --kubeconfig="$STATE/kubelet.kubeconfig" \
    --root-dir="$STATE/kubelet" --hostname-override="$NODE" --node-ip="$NODE_IP"

  write_proxy_settings
  start kube-proxy "$TOOLS/kube-proxy" --config="$STATE/kube-proxy.yaml"
}

wait_for_node() {
  wait_for kubelet 60 node_is_ready
  wait_for kube-proxy 20 listens "$API_SERVICE_IP" 443
}

node_is_ready() { kubectl_admin get node "$NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' | grep -qx True; }

# overlayfs cannot lie on overlayfs, as it would when the checkout is inside a container.
snapshotter() {
  case $(stat -f -c %T "$STATE") in
    overlayfs | tmpfs | nfs | fuseblk) echo native ;;
    *) echo overlayfs ;;
  esac
}

write_containerd_settings() {
  local folder=$STATE/containerd address
  for address in "$REGISTRY" "$PRIVATE_REGISTRY"; do
    mkdir -p "$folder/certs.d/$address"
    cat >"$folder/certs.d/$address/hosts.toml" <<EOF
server = "http://$address"
[host."http://$address"]
  capabilities = ["pull", "resolve"]
EOF
  done
  # restrict_oom_score_adj: without CAP_SYS_RESOURCE runc dies of the sandbox's score, -998.
  cat >"$folder/config.toml" <<EOF
version = 2
root = "$folder/root"
state = "$folder/state"
[grpc]
  address = "$folder/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$REGISTRY/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "$(snapshotter)"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$STATE/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$folder/certs.d"
EOF
  # The leases would lie in /var/lib/cni and outlive the cluster.
  mkdir -p "$STATE/cni"
  cat >"$STATE/cni/10-pods.conflist" <<EOF
{"cniVersion": "0.4.0", "name": "$CNI_NETWORK", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$STATE/cni/leases", "ranges": [[{"subnet": "$NODE_POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
EOF
}

# There is no CoreDNS: nothing in the cluster is reached by name. Asking the pod itself makes a
# look-up fail at once, where an address without an answer would make it wait.
write_kubelet_settings() {
  mkdir -p "$STATE/kubelet" "$STATE/logs/pods"
  : >"$STATE/resolv.conf"
  cat >"$STATE/kubelet.yaml" <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE_IP
tlsCertFile: "$STATE/pki/kubelet.crt"
tlsPrivateKeyFile: "$STATE/pki/kubelet.key"
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: "$STATE/pki/ca.crt"}}
authorization: {mode: Webhook}
containerRuntimeEndpoint: "unix://$STATE/containerd/containerd.sock"
volumePluginDir: "$STATE/flexvolume"
podLogsDir: "$STATE/logs/pods"
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
failCgroupV1: false
failSwapOn: false
resolvConf: "$STATE/resolv.conf"
clusterDNS: [127.0.0.1]
clusterDomain: cluster.local
evictionHard: {memory.available: 100Mi, nodefs.available: "1%", imagefs.available: "1%"}
imageGCHighThresholdPercent: 99
nodeStatusReportFrequency: 10s
# Secrets that changed reach their pods after this, not after a minute.
syncFrequency: 5s
EOF
}

# minSyncPeriod: a ready Service answers at once, not within a second.
# masqueradeAll: pods of one bridge answer each other directly, past the translation of the Service's address.
write_proxy_settings() {
  cat >"$STATE/kube-proxy.yaml" <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: "$STATE/kube-proxy.kubeconfig"}
hostnameOverride: $NODE
clusterCIDR: $POD_CIDR
mode: iptables
iptables: {masqueradeAll: true, minSyncPeriod: 50ms}
conntrack: {maxPerCore: 0}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
EOF
}
