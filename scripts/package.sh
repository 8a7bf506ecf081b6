#!/usr/bin/env bash
# The Debian packages of what is committed, into build/package: built in a bare Debian 12 with nothing but what
# packaging/debian/control asks for, looked at by lintian, and installed, upgraded, removed and purged in
# another bare one. Needs root. With --json FILE says there how many they are.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

[ $# -eq 0 ] || { [ $# -eq 2 ] && [ "$1" = --json ]; } || { echo "usage: scripts/package.sh [--json FILE]" >&2; exit 2; }
out=$PWD/build/package
rm -rf --one-file-system "$out"
mkdir -p "$out"

install='apt-get install -y -qq --no-install-recommends'

# By a user who may write nowhere else. lintian is no part of it, and comes afterwards; Debian has no report that they
# could close, because they are not meant for its archive.
scripts/bare-debian.sh --seconds 3600 --exchange "$out" bookworm \
  'apt-get update -qq' \
  "$install build-essential" \
  'sh -c "mkdir /tmp/asks && cp -r packaging/debian /tmp/asks/"' \
  'apt-get build-dep -y -qq --no-install-recommends /tmp/asks' \
  "$install git" \
  'sh -c "useradd builder && chown -R builder . && install -d -o builder /packages"' \
  'setpriv --reuid=builder --regid=builder --clear-groups env HOME=/nonexistent scripts/build-packages.sh /packages' \
  'sh -c "cp /packages/vnvram_*.changes /packages/*.buildinfo /packages/*.deb /exchange/"' \
  "$install lintian" \
  'sh -c "lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs /exchange/*.changes"'

# What they ask for is all that is there beside what the tests use.
names='libvnvram0 libvnvram-dev vnvram nbdkit-plugin-vnvram vnvram-swtpm'
scripts/bare-debian.sh --seconds 1800 --exchange "$out" bookworm \
  'apt-get update -qq' \
  "sh -c '$install \$(ls /exchange/*.deb | grep -v dbgsym) && dpkg --purge $names'" \
  "$install g++ cmake ninja-build pkg-config python3 swtpm swtpm-tools qemu-utils" \
  'env --chdir=tests/system VNVRAM_PACKAGES=/exchange PYTHONDONTWRITEBYTECODE=1 python3 -m unittest -v package.test_swtpm package.test_operations package.test_others'

echo "the packages are in build/package:"
(cd "$out" && ls -- *.deb)
[ $# -eq 0 ] || printf '{"packages": %d}\n' "$(find "$out" -name '*.deb' ! -name '*-dbgsym_*' | wc -l)" >"$2"
