# shellcheck shell=bash
# KWOK plays the kubelet of the nodes that nodes.sh makes: nothing runs on them. Needs STATE and TOOLS.

# Only annotated nodes are its own: the real node stays real. Without leases they would be ready for less than a minute.
start_kwok() {
  start kwok "$TOOLS/kwok" --kubeconfig="$STATE/kwok.kubeconfig" --config="$TOOLS/../kwok-stages.yaml" \
    --manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake --node-lease-duration-seconds=40 \
    --cidr="$FAKE_POD_CIDR" --server-address=127.0.0.1:10247
}

wait_for_kwok() { wait_for kwok 20 listens 127.0.0.1 10247; }
