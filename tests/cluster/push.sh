#!/usr/bin/env bash
# Makes an image and pushes it to a registry of the local cluster; prints REGISTRY/IMAGE@DIGEST.
#   push.sh ROOTFS_DIR NAME:TAG [OPTION…]   the folder becomes one layer
#   push.sh --layout DIR NAME:TAG [--private]   an image that is made already (image/build.sh)
# Options:
#   --base IMAGE        put the layer on top of an image pushed before, or of an OCI layout folder
#   --private           push to the registry that asks for a password
#   --arch A, --os O    default: the base's, else this machine's and linux
#   --cmd ARG, --entrypoint ARG, --env K=V, --label K=V, --annotation K=V   may be given many times
#   --user U, --workdir D, --created TIME
#   --config-json-merge FILE   laid over the finished image configuration
# The same input gives the same digest. Layouts stay in $CLUSTER_STATE/images, for --base.
# shellcheck disable=SC2016 # $v and $file are jq's
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd -P)
. "$HERE/names.sh"
# shellcheck source=../../image/oci.sh
. "$REPO_ROOT/image/oci.sh"

usage() {
  sed -n '2,/^# shellcheck/{/^# shellcheck/d;s/^# //p}' "$0" >&2
  exit 64
}

layout_of() { printf '%s/images/%s\n' "$STATE" "${1//[\/:]/_}"; }

base_layout() {
  local layout
  for layout in "$1" "$(layout_of "$1")"; do
    [ ! -f "$layout/oci-layout" ] || { printf '%s\n' "$layout"; return; }
  done
  die 1 "base image $1 is neither an OCI layout nor an image that push.sh has made"
}

# set_spec JQ-FILTER [JQ-ARGUMENT…]  changes the image's specification.
set_spec() {
  local filter=$1
  shift
  SPEC=$(jq -c "$@" "$filter" <<<"$SPEC")
}

set_pair() { # PATH KEY=VALUE
  [[ $2 == *=* ]] || die 64 "$2 should be KEY=VALUE"
  set_spec "$1[\$key] = \$value" --arg key "${2%%=*}" --arg value "${2#*=}"
}

parse_options() {
  local option
  while [ $# -gt 0 ]; do
    option=$1
    shift
    [ "$option" = --private ] && { TO=$PRIVATE_REGISTRY && continue; }
    [ $# -gt 0 ] || usage
    case $option in
      --base) BASE=$(base_layout "$1") ;;
      --arch) set_spec '.architecture = $v' --arg v "$1" ;;
      --os) set_spec '.os = $v' --arg v "$1" ;;
      --created) set_spec '.created = $v' --arg v "$1" ;;
      --user) set_spec '.config.User = $v' --arg v "$1" ;;
      --workdir) set_spec '.config.WorkingDir = $v' --arg v "$1" ;;
      --cmd) set_spec '.config.Cmd += [$v]' --arg v "$1" ;;
      --entrypoint) set_spec '.config.Entrypoint += [$v]' --arg v "$1" ;;
      --env) set_spec '.config.Env += [$v]' --arg v "$1" ;;
      --label) set_pair .config.Labels "$1" ;;
      --annotation) set_pair .annotations "$1" ;;
      --config-json-merge) set_spec '.merge = ($file[0] // {})' --slurpfile file "$1" ;;
      *) usage ;;
    esac
    shift
  done
}

push_layout() { # LAYOUT
  local login=()
  local tls=(--dest-tls-verify=false)
  if is_current && [ -z "${PLAIN_HTTP:-}" ]; then tls=(); fi
  [ "$TO" = "$REGISTRY" ] || login=(--dest-creds "$PRIVATE_REGISTRY_USER:$PRIVATE_REGISTRY_PASSWORD")
  # From inside the layout: skopeo would take a colon in a path for a tag.
  (cd "$1" && in_ns skopeo copy --quiet --all --insecure-policy --preserve-digests "${tls[@]}" "${login[@]}" oci:. "docker://$TO/$IMAGE")
}

is_current || [ "$(id -u)" = 0 ] || die 3 "pushing into the cluster needs root"
# Not state_in_use: up.sh pushes the pause image before the cluster is complete.
STATE=${CLUSTER_STATE:-$DEFAULT_STATE}
[ -d "$STATE/images" ] || die 1 "no cluster is up ($STATE): start one with tests/cluster/up.sh"
TO=$REGISTRY BASE='' SPEC='{}' ROOTFS=''
[ $# -ge 2 ] || usage
if [ "$1" = --layout ]; then
  LAYOUT=$2 IMAGE=${3:-}
  [ -f "$LAYOUT/oci-layout" ] || die 1 "$LAYOUT is not an OCI layout"
  case ${4:-} in '') ;; --private) TO=$PRIVATE_REGISTRY ;; *) usage ;; esac
else
  ROOTFS=$1 IMAGE=$2
  [ -d "$ROOTFS" ] || die 1 "$ROOTFS is not a folder"
  LAYOUT=$(layout_of "$IMAGE")
  shift 2
  parse_options "$@"
fi
[[ $IMAGE =~ ^[a-z0-9][a-z0-9._/-]*:[A-Za-z0-9_][A-Za-z0-9._-]*$ ]] || die 64 "an image is NAME:TAG, without a registry: '$IMAGE'"

if [ -n "$ROOTFS" ]; then
  oci_image "$LAYOUT" "$ROOTFS" "$SPEC" "$BASE" >/dev/null
fi
push_layout "$LAYOUT"
printf '%s/%s@%s\n' "$TO" "$IMAGE" "$(jq -r '.manifests[0].digest' "$LAYOUT/index.json")"
