#!/usr/bin/env bash
# kernels.sh SUITE  makes LAB/kernels/SUITE of a suite's cloud kernel: vmlinuz, modules/ (a few, with what they need), and
# what such a host has on disk, as folders: disk/, and bare/, which has no modules to load.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/lab/debian.sh

MODULES="ip_tables iptable_filter iptable_nat nf_tables nft_compat dummy"

suite=$1
to=$LAB/kernels/$suite
rm -rf "$to.new" && mkdir -p "$to.new/package"
# linux-image-cloud-amd64 names the newest kernel; since 7.x its parts are packages of their own.
image=$(debian_apt "$suite" apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p')
release=${image#linux-image-}
parts=$(debian_apt "$suite" apt-cache depends "$image" | sed -n "s/^ *Depends: \(linux-.*-$release\)\$/\1/p")
# shellcheck disable=SC2086 # a list of names
debian_take "$suite" "$to.new/package" "$image" $parts
only() { (cd "$to.new/package" && find . "$@" | sed -n 's,^\./,,p' | head -n 1); }
modules=$(only -path "*lib/modules/$release" -type d)
config=$(only -name "config-$release" -o -path "*/$release/config" -type f)
mv "$to.new/package/$(only -name "vmlinuz*" -type f)" "$to.new/vmlinuz"

# Only what cases ask for, uncompressed: the kernel takes no others from a program that links no library.
tree=$to.new/tree/lib/modules/$release
mkdir -p "$tree"
cp "$to.new/package/$modules"/modules.{builtin,builtin.modinfo,order} "$tree/" 2>/dev/null || true
(cd "$to.new/package/$modules" && find kernel/net kernel/drivers/net/dummy* kernel/lib -name '*.ko*') | while read -r file; do
  case $file in
    *netfilter/* | */dummy.ko* | kernel/lib/*crc* | */llc/* | */stp*) ;;
    *) continue ;;
  esac
  mkdir -p "$tree/${file%/*}"
  case $file in
    *.xz) xz -dc "$to.new/package/$modules/$file" >"$tree/${file%.xz}" ;;
    *.zst) zstd -qdc "$to.new/package/$modules/$file" >"$tree/${file%.zst}" ;;
    *) cp "$to.new/package/$modules/$file" "$tree/$file" ;;
  esac
done
depmod -b "$to.new/tree" "$release"
mkdir -p "$to.new/modules"
cp "$tree/modules.dep" "$to.new/modules/"
for module in $MODULES; do
  line=$(grep -E "(^|/)${module//_/[-_]}\.ko:" "$tree/modules.dep") || continue
  for file in ${line/:/ }; do
    mkdir -p "$to.new/modules/${file%/*}"
    cp "$tree/$file" "$to.new/modules/$file"
  done
done

for disk in disk bare; do
  mkdir -p "$to.new/$disk/etc" "$to.new/$disk/boot" "$to.new/$disk/lib/modules/$release"
  debian_take "$suite" "$to.new/system" base-files
  cp "$to.new/system/usr/lib/os-release" "$to.new/$disk/etc/os-release"
  cp "$to.new/package/$config" "$to.new/$disk/boot/config-$release"
  cp "$tree/modules.builtin" "$to.new/$disk/lib/modules/$release/"
done
cp "$tree/modules.dep" "$to.new/disk/lib/modules/$release/"
rm -rf "$to.new/package" "$to.new/tree" "$to.new/system"
mv "$to.new" "$to"
