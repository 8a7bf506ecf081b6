#!/usr/bin/env bash
# Builds the Debian packages of what is here (tracked files only) into the folder OUT, on this system. OUT is one that
# is not there or is empty, or that this has made: what was built in it before goes, and nothing of anybody else's.
# With --programs BUILD, a build's folder, they are made of what is built there, without debugging symbols
# and without those of the library: in seconds, for tests.
set -euo pipefail

usage() { echo "usage: scripts/build-packages.sh [--programs BUILD] OUT" >&2; exit 2; }

programs=
if [ "${1:-}" = --programs ]; then
  programs=$(realpath "${2:?}")
  shift 2
fi
[ $# -eq 1 ] || usage
mkdir -p "$1"
out=$(realpath "$1")
mark=.made-by-vnvram-build-packages
if [ ! -e "$out/$mark" ] && [ -n "$(ls -A "$out")" ]; then
  echo "build-packages.sh: $out: there is something in it that was not made by this: name another folder, or empty it" >&2
  exit 1
fi
touch "$out/$mark"
cd "$(dirname "$(readlink -f "$0")")/.."

# Beside the sources, so that what is built from them is built again only if it has changed.
source=$out/source
mkdir -p "$source"
find "$source" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
# As the work tree has it: what git knows and the work tree has not is left out.
git ls-files -z | while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
  tar --create --null --files-from=- | tar --extract --directory="$source"
cp -a packaging/debian "$source/debian"
for name in vnvram libvnvram nbdkit-plugin-vnvram; do
  rm -f "$out/$name"*.deb "$out/$name"*.buildinfo "$out/$name"*.changes
done

cd "$source"
words=(--build=binary --no-sign --no-pre-clean)
if [ -n "$programs" ]; then
  export VNVRAM_BUILT=$programs DEB_BUILD_OPTIONS="noautodbgsym ${DEB_BUILD_OPTIONS:-}"
  words+=(--no-check-builddeps)
fi
dpkg-buildpackage "${words[@]}"
