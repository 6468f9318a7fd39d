# shellcheck shell=bash
# One certificate authority for a month, a certificate per component, and the kubeconfigs. Needs STATE.

make_certificates() {
  component certificates
  mkdir -p "$STATE/pki"
  (
    umask 077
    cd "$STATE/pki" || exit
    new_key ca
    openssl req -x509 -new -key ca.key -subj /CN=hostfit-local-cluster -days 30 -out ca.crt
    certificate apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:$NODE_IP,IP:$API_SERVICE_IP"
    certificate admin /O=system:masters/CN=admin
    certificate controller-manager /CN=system:kube-controller-manager
    certificate scheduler /CN=system:kube-scheduler
    certificate kubelet "/O=system:nodes/CN=system:node:$NODE" "DNS:$NODE,IP:$NODE_IP"
    certificate kube-proxy /CN=system:kube-proxy
    certificate kwok /O=system:masters/CN=kwok
    new_key service-accounts
    openssl pkey -in service-accounts.key -pubout -out service-accounts.pub
    for user in admin controller-manager scheduler kubelet kube-proxy kwok; do
      kubeconfig "$user" >"$STATE/$user.kubeconfig"
    done
  ) >"$STATE/logs/certificates.log" 2>&1
}

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

certificate() { # NAME SUBJECT [ALTERNATIVE-NAMES]
  new_key "$1"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
  {
    echo extendedKeyUsage=serverAuth,clientAuth
    [ -z "${3:-}" ] || echo "subjectAltName=$3"
  } >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.crt"
  rm "$1.csr" "$1.ext"
}

# With the certificates inside, so that the file can be used and copied by itself.
kubeconfig() {
  cat <<EOF
apiVersion: v1
kind: Config
clusters:
- name: hostfit
  cluster: {server: "https://$NODE_IP:6443", certificate-authority-data: $(base64 -w0 ca.crt)}
users:
- name: $1
  user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}
contexts:
- name: hostfit
  context: {cluster: hostfit, user: $1}
current-context: hostfit
EOF
}
