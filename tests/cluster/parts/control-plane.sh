# shellcheck shell=bash
# etcd, the API server, the controller manager, the scheduler. Needs STATE and TOOLS.

start_api_server() {
  local pki=$STATE/pki
  # Nothing here outlives the cluster, so nothing needs to reach the disk.
  start etcd "$TOOLS/etcd" --data-dir "$STATE/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380
  # MutatingAdmissionPolicy: what others do to pods, without a program of theirs.
  # Without a preferred address type, logs and exec would ask DNS for the node's name.
  start apiserver "$TOOLS/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
    --bind-address="$NODE_IP" --advertise-address="$NODE_IP" --secure-port=6443 \
    --service-cluster-ip-range="$SERVICE_CIDR" --allow-privileged=true \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --feature-gates=MutatingAdmissionPolicy=true --runtime-config=admissionregistration.k8s.io/v1beta1=true \
    --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$pki/service-accounts.pub" --service-account-signing-key-file="$pki/service-accounts.key" \
    --kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key" \
    --kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP
}

wait_for_api_server() {
  wait_for etcd 20 listens 127.0.0.1 2379
  wait_for apiserver 60 kubectl_admin get --raw /readyz
}

start_controllers() {
  local pki=$STATE/pki
  # At the usual 20 requests a second, starting its forty controllers takes five seconds.
  start controller-manager "$TOOLS/kube-controller-manager" --kubeconfig="$STATE/controller-manager.kubeconfig" \
    --bind-address=127.0.0.1 --leader-elect=false --use-service-account-credentials \
    --kube-api-qps=500 --kube-api-burst=1000 \
    --flex-volume-plugin-dir="$STATE/flexvolume" \
    --service-account-private-key-file="$pki/service-accounts.key" --root-ca-file="$pki/ca.crt" \
    --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key"
  start scheduler "$TOOLS/kube-scheduler" --kubeconfig="$STATE/scheduler.kubeconfig" \
    --bind-address=127.0.0.1 --leader-elect=false --kube-api-qps=500 --kube-api-burst=1000
}

# Pods are refused until their namespace has its default account.
wait_for_controllers() {
  wait_for controller-manager 30 kubectl_admin get serviceaccount default
  wait_for scheduler 30 listens 127.0.0.1 10259
}

kubectl_admin() { in_ns "$TOOLS/kubectl" --kubeconfig "$STATE/admin.kubeconfig" "$@"; }
