# shellcheck shell=bash
# Two registries: one open, one that asks for a name and a password. Needs STATE.

# bcrypt of PRIVATE_REGISTRY_PASSWORD: the only hash that the registry takes. Fixed, because making
# one would need a package of its own; the password is no secret.
# shellcheck disable=SC2016 # the dollars are bcrypt's
PASSWORD_HASH='$2y$10$hostfitDemoSaltABCDEFuUFjKEt4DvEI.Aqg6yMa0ILZP1Ot7boS'

start_registries() {
  registry_settings registry "$REGISTRY" >"$STATE/registry.yaml"
  start registry docker-registry serve "$STATE/registry.yaml"

  printf '%s:%s\n' "$PRIVATE_REGISTRY_USER" "$PASSWORD_HASH" >"$STATE/htpasswd"
  {
    registry_settings private-registry "$PRIVATE_REGISTRY"
    printf 'auth: {htpasswd: {realm: hostfit, path: "%s"}}\n' "$STATE/htpasswd"
  } >"$STATE/private-registry.yaml"
  start private-registry docker-registry serve "$STATE/private-registry.yaml"
}

registry_settings() { # NAME ADDRESS
  mkdir -p "$STATE/$1"
  cat <<EOF
version: 0.1
storage: {filesystem: {rootdirectory: "$STATE/$1"}, delete: {enabled: true}}
http: {addr: "$2", secret: throwaway}
EOF
}

wait_for_registries() {
  wait_for registry 10 listens "${REGISTRY%:*}" "${REGISTRY#*:}"
  wait_for private-registry 10 listens "${PRIVATE_REGISTRY%:*}" "${PRIVATE_REGISTRY#*:}"
}
