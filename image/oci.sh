# shellcheck shell=bash
# Makes OCI images with tar, gzip, sha256sum and jq alone: the same input gives the same digest.
# Sourced by image/build.sh and by tests/cluster/push.sh.

# The clock that all our images show, unless told otherwise.
OCI_EPOCH=${SOURCE_DATE_EPOCH:-0}

oci_now() { date -u -d "@$OCI_EPOCH" +%Y-%m-%dT%H:%M:%SZ; }

oci_machine_architecture() {
  case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) uname -m ;;
  esac
}

# oci_image LAYOUT ROOTFS SPEC [BASE_LAYOUT]  writes the folder as ONE layer, on top of the base's
# layers as they are, and prints the manifest's digest. SPEC is JSON, every key optional:
#   {created, architecture, os, config: {User, Env, Cmd, …}, annotations, merge}
# `merge` is laid over the finished image configuration.
oci_image() {
  local layout=$1 rootfs=$2 spec=$3 base=${4:-} new diff_id layer config manifest
  new=$(mktemp -d "$layout.XXXXXX")
  mkdir -p "$new/blobs/sha256"
  printf '{"imageLayoutVersion":"1.0.0"}' >"$new/oci-layout"
  echo '{"layers": []}' >"$new/base-manifest"
  echo '{"rootfs": {"type": "layers", "diff_ids": []}, "history": []}' >"$new/base-config"
  [ -z "$base" ] || oci_take_base "$new" "$base"

  oci_tar "$rootfs" "$new/layer.tar"
  diff_id=sha256:$(sha256sum "$new/layer.tar" | cut -d ' ' -f 1)
  gzip -n -9 "$new/layer.tar"
  layer=$(oci_blob "$new" "$new/layer.tar.gz" application/vnd.oci.image.layer.v1.tar+gzip)

  oci_config "$new/base-config" "$spec" "$diff_id" >"$new/config"
  config=$(oci_blob "$new" "$new/config" application/vnd.oci.image.config.v1+json)
  jq -cSj --argjson config "$config" --argjson layer "$layer" --argjson spec "$spec" '
    {schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
     config: $config, layers: (.layers + [$layer])}
    + if ($spec.annotations // {}) == {} then {} else {annotations: $spec.annotations} end
  ' "$new/base-manifest" >"$new/manifest"
  manifest=$(oci_blob "$new" "$new/manifest" application/vnd.oci.image.manifest.v1+json)
  jq -cSj '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [.]}' <<<"$manifest" >"$new/index.json"

  rm "$new/base-manifest" "$new/base-config"
  chmod 755 "$new"
  rm -rf "$layout"
  mv "$new" "$layout"
  jq -r .digest <<<"$manifest"
}

# The manifest of a layout that holds one image.
oci_manifest() { cat "$1/blobs/sha256/$(jq -er '.manifests[0].digest | ltrimstr("sha256:")' "$1/index.json")"; }

# oci_index LAYOUT IMAGE_LAYOUT…  joins images for several platforms into one layout, whose one entry is their index,
# and prints its digest.
oci_index() {
  local layout=$1 new image manifest config
  shift
  new=$(mktemp -d "$layout.XXXXXX")
  mkdir -p "$new/blobs/sha256"
  printf '{"imageLayoutVersion":"1.0.0"}' >"$new/oci-layout"
  for image in "$@"; do
    cp "$image"/blobs/sha256/* "$new/blobs/sha256/"
    manifest=$(oci_manifest "$image")
    config=$image/blobs/sha256/$(jq -er '.config.digest | ltrimstr("sha256:")' <<<"$manifest")
    jq -c --slurpfile config "$config" '.manifests[0] + {platform: ($config[0] | {architecture, os})}' "$image/index.json"
  done | jq -cSjs '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: .}' >"$new/images"
  oci_blob "$new" "$new/images" application/vnd.oci.image.index.v1+json |
    jq -cSj '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [.]}' >"$new/index.json"
  chmod 755 "$new"
  rm -rf "$layout"
  mv "$new" "$layout"
  jq -r '.manifests[0].digest' "$layout/index.json"
}

oci_take_base() { # NEW BASE_LAYOUT
  local digest
  oci_manifest "$2" >"$1/base-manifest"
  cp "$2/blobs/sha256/$(jq -er '.config.digest | ltrimstr("sha256:")' "$1/base-manifest")" "$1/base-config"
  while read -r digest; do
    cp "$2/blobs/sha256/$digest" "$1/blobs/sha256/"
  done < <(jq -r '.layers[].digest | ltrimstr("sha256:")' "$1/base-manifest")
}

# Sorted names, one owner, one time: nothing of this machine gets into the layer.
oci_tar() { # FOLDER FILE
  (cd "$1" && find . -mindepth 1 -printf '%P\0') | LC_ALL=C sort -z |
    tar --create --file "$2" --directory "$1" --null --no-recursion --files-from - \
      --format=gnu --mtime="@$OCI_EPOCH" --owner=0 --group=0 --numeric-owner
}

# Moves a file among the blobs and prints its descriptor.
oci_blob() { # LAYOUT FILE MEDIA-TYPE
  local digest size
  digest=$(sha256sum "$2" | cut -d ' ' -f 1)
  size=$(stat -c %s "$2")
  mv "$2" "$1/blobs/sha256/$digest"
  jq -cn --arg mediaType "$3" --arg digest "sha256:$digest" --argjson size "$size" '{mediaType: $mediaType, digest: $digest, size: $size}'
}

oci_config() { # BASE-CONFIG SPEC DIFF-ID
  jq -cSj --argjson spec "$2" --arg diff "$3" --arg created "$(oci_now)" --arg machine "$(oci_machine_architecture)" '
    . as $base
    | ($spec.created // $created) as $created
    | (($base.config.Env // []) + ($spec.config.Env // [])
       | reduce .[] as $new ([]; map(select((split("=")[0]) != ($new | split("=")[0]))) + [$new])) as $env
    | .created = $created
    | .architecture = ($spec.architecture // $base.architecture // $machine)
    | .os = ($spec.os // $base.os // "linux")
    | .config = (($base.config // {}) * ($spec.config // {}))
    | if $env == [] then . else .config.Env = $env end
    | .rootfs.diff_ids += [$diff]
    | .history = ((.history // []) + [{created: $created, created_by: "hostfit"}])
    | . * ($spec.merge // {})' "$1"
}
