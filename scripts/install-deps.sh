#!/usr/bin/env bash
# Installs the packages of Debian 12 or 13 that building, testing and the demo need. Run as root, or as
# a user who may sudo. Quick when everything is there.
set -euo pipefail

build=(g++ cmake ninja-build pkg-config ca-certificates
  libfmt-dev libxxhash-dev nlohmann-json3-dev libcli11-dev
  libssl-dev libtpms-dev swtpm-dev libseccomp-dev libnbd-dev librbd-dev librados-dev libsodium-dev nbdkit-plugin-dev capnproto libcapnp-dev prometheus-cpp-dev)
check=(clang-format clang-tidy clang libclang-rt-dev libgtest-dev libgmock-dev git spin debootstrap debhelper zsh)
system=(qemu-system-x86 qemu-system-arm qemu-system-ppc qemu-utils qemu-system-common ovmf qemu-efi-aarch64 nbdkit libnbd-bin
  python3-libnbd python3-prometheus-client ceph-mon ceph-osd ceph-common
  python3-cryptography python3-nacl python3-xxhash fio gnutls-bin python3 busybox-static cpio kmod
  file groff-base tpm2-tools libtss2-tcti-device0 libtss2-tcti-swtpm0 swtpm swtpm-tools util-linux xfsprogs dpkg-dev
  procps sbsigntool openssl e2fsprogs strace systemd nodejs npm iproute2 dmsetup lvm2
  libtirpc3 libevent-core-2.1-7 libwrap0 libkeyutils1 libsqlite3-0 libnl-3-200 libnl-genl-3-200 libxml2
  libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients apparmor clevis clevis-tpm2 jose jq curl)

# Debian 13 has libvirt's secrets in a package of their own.
grep -q '^VERSION_ID="12"' /etc/os-release || system+=(libvirt-daemon-driver-secret)

# A package is there, too, if one of another name provides it: Debian 13 has libtss2-tcti-device0t64.
there=$(dpkg-query -W -f='${db:Status-Status} ${Package}, ${Provides}\n' |
  sed -n 's/^installed //p' | tr ',' '\n' | sed 's/^ *//; s/[ :].*//')
missing=()
for package in "${build[@]}" "${check[@]}" "${system[@]}"; do
  grep -qxF "$package" <<<"$there" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "install-deps: run as root, or install sudo; missing: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "install-deps: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
