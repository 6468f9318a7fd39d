#!/usr/bin/env bash
# No false alarms: ordinary images on every built-in host. What runs everywhere must not be called broken anywhere.
#   ordinary.sh          minimal systems and servers of four suites, static programs of Go and Rust; rewrites its part of docs/lab.md
#   ordinary.sh fast     one minimal system
#   ordinary.sh ROOT…    these roots of roots.sh
# A Fail of a technical rule (HF1xx to HF4xx) ends it with an error; every Warn of one is listed.
set -euo pipefail
cd "$(dirname "$0")/../.."
. image/oci.sh
export LAB=$PWD/target/lab

images="minimal-bullseye minimal-bookworm minimal-trixie minimal-sid servers-bookworm servers-trixie go-v1 rust-static"
case ${1:-} in
  '') ;;
  fast) images=minimal-bookworm ;;
  *) images="$*" ;;
esac
mkdir -p "$LAB/ordinary"
cargo build -q --locked -p hostfit-cli
mapfile -t hosts < <(target/debug/hostfit catalog list hosts | sed -n 's,^  \([^ ]*\)  .*,builtin/\1,p')
[ ${#hosts[@]} -gt 10 ] || { echo "ordinary: hardly any built-in hosts: ${hosts[*]}" >&2; exit 1; }
all=$(IFS=,; echo "${hosts[*]}")

for image in $images; do
  layout=$LAB/ordinary/$image
  if [ ! -e "$layout" ]; then
    [ -e "$LAB/roots/$image" ] || tests/lab/roots.sh "$image"
    case $image in
      go-* | rust-*) command='["/app"]' ;;
      *) command='["/bin/bash"]' ;;
    esac
    oci_image "$layout" "$LAB/roots/$image" "{\"config\": {\"Entrypoint\": $command}}" >/dev/null
  fi
  target/debug/hostfit check image "oci:$layout" --host "$all" -o json >"$LAB/ordinary/$image.json" || [ $? = 1 ]
done

# One line for each image and finding: how many hosts, and what it says.
findings() {
  for image in $images; do
    jq -r --arg image "$image" '
      [.items[] | .host as $host | .findings[] | select(.code < "HF5") | {code, verdict, message, host: $host}]
      | group_by([.code, .verdict])[]
      | [$image, .[0].code, .[0].verdict, length, .[0].host, .[0].message] | @tsv' "$LAB/ordinary/$image.json"
  done
}
found=$(findings)
cells=$(jq -s '[.[].items | length] | add' $(printf "$LAB/ordinary/%s.json " $images))
fails=$(awk -F '\t' '$3 == "Fail"' <<<"$found" | grep -c . || true)
warns=$(awk -F '\t' '$3 == "Warn" {n += $4} END {print n + 0}' <<<"$found")
summary="$(wc -w <<<"$images") images on ${#hosts[@]} built-in hosts: $cells pairs, $fails Fail, $warns Warn of technical rules."
echo "ordinary: $summary"
[ -z "$found" ] || printf '%s\n' "$found"
if [ "${1:-}" != fast ]; then
  {
    sed '/<!-- ordinary: begin -->/q' docs/lab.md
    echo "$summary"
    [ -z "$found" ] || {
      printf '\n| image | code | verdict | hosts | for instance | message |\n|---|---|---|---|---|---|\n'
      awk -F '\t' '{printf "| %s | %s | %s | %s | %s | %s |\n", $1, $2, $3, $4, $5, $6}' <<<"$found"
    }
    sed -n '/<!-- ordinary: end -->/,$p' docs/lab.md
  } >"$LAB/lab.md"
  cp "$LAB/lab.md" docs/lab.md
fi
[ "$fails" = 0 ]
