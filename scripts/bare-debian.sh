#!/usr/bin/env bash
# Runs commands in a bare Debian: a debootstrap of the release, and in it a clean clone of what is
# committed here, with nothing but what scripts/install-deps.sh installs. Without commands: those of the
# README, `./dev demo` and `./dev test`. FOLDER is /exchange there. Ends with the status of the first one that fails.
#
# Needs root. The debootstrap and the packages' files are kept in build/debian/RELEASE; each run begins with
# a fresh copy. Mounts, processes and loop devices end with this script, whatever ends it.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

usage() { echo "usage: scripts/bare-debian.sh [--seconds N] [--json FILE] [--exchange FOLDER] bookworm|trixie [COMMAND]..." >&2; exit 2; }

seconds=10800
json=
exchange=
while [ $# -gt 0 ]; do
  case "$1" in
    --seconds) seconds=${2:?}; shift 2 ;;
    --json) json=${2:?}; shift 2 ;;
    --exchange) exchange=$(realpath "${2:?}"); shift 2 ;;
    -*) usage ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || usage
release=$1
shift
[ $# -gt 0 ] || set -- './dev demo' './dev test'

fail() { echo "bare-debian: $1" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || fail "needs root, for debootstrap, chroot and mounts"
command -v debootstrap >/dev/null || fail "debootstrap is missing: run scripts/install-deps.sh"

folder=$PWD/build/debian/$release
root=$folder/root
mkdir -p "$folder/archives"
exec 9>"$folder/lock"
flock --nonblock 9 || fail "another run uses $folder"

namespaces=
detach_loop_devices() {
  losetup --list --noheadings --output NAME,BACK-FILE |
    while read -r device file; do [[ "$file" != "$root/"* ]] || losetup --detach "$device"; done
}
clean_up() {
  [ -z "$namespaces" ] || { kill -KILL "$namespaces" 2>/dev/null || true; wait "$namespaces" 2>/dev/null || true; }
  detach_loop_devices
}
trap clean_up EXIT
trap 'exit 143' TERM INT HUP
detach_loop_devices # Of a run that was killed.

if [ ! -d "$folder/bare" ]; then
  echo "bare-debian: a debootstrap of $release, once" >&2
  # From where this machine has its packages.
  mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
    sed -n 's/^Debian Debian //p' | head -n 1)
  [ -n "$mirror" ] || fail "apt knows no source of Debian's packages: run apt-get update"
  rm -rf --one-file-system "$folder/new"
  debootstrap --variant=minbase "$release" "$folder/new" "$mirror" >"$folder/debootstrap.log" 2>&1 9>&- ||
    { tail -n 20 "$folder/debootstrap.log" >&2; fail "debootstrap failed"; }
  mv "$folder/new" "$folder/bare"
fi

rm -rf --one-file-system "$root"
cp -a --reflink=auto "$folder/bare" "$root"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
# Whom this machine trusts beside Debian's list, e.g. its proxy; the package ca-certificates takes them in.
[ ! -d /usr/local/share/ca-certificates ] || cp -r /usr/local/share/ca-certificates "$root/usr/local/share/"
apt-config dump --format '%f "%v";%n' Acquire::http Acquire::https >"$root/etc/apt/apt.conf.d/99host"
# It is made anew each time: nothing in it has to outlive a power cut, and thousands of flushes take their time.
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
[ -z "$(git status --porcelain)" ] || echo "bare-debian: what is not committed is not in it" >&2
git clone --quiet --no-hardlinks . "$root/vnvram"

# In namespaces of their own: all processes end with the first one, and the mounts with them.
inner='
set -eo pipefail
root=$1 folder=$2 seconds=$3 exchange=$4
shift 4
mount --bind "$root" "$root" # A root that is no mount has no propagation to change: unshare(1) fails there.
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
mount --bind "$folder/archives" "$root/var/cache/apt/archives"
[ -z "$exchange" ] || { mkdir -p "$root/exchange"; mount --bind "$exchange" "$root/exchange"; }
for command; do
  echo "== $command"
  timeout --kill-after=60 "$seconds" chroot "$root" env -i HOME=/root TERM=dumb LANG=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    sh -c "cd /vnvram && exec $command"
done'
log=$folder/log
setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child \
  bash -c "$inner" bare-debian "$root" "$folder" "$seconds" "$exchange" "$@" </dev/null 9>&- > >(tee "$log") 2>&1 &
namespaces=$!
status=0
wait "$namespaces" || status=$?
namespaces=
if [ -n "$json" ]; then
  counted=$(grep -oE '[0-9]+ tests failed out of [0-9]+' "$log" | tail -n 1)
  [ -n "$counted" ] && read -r failed _ _ _ _ all <<<"$counted" &&
    printf '{"release": "%s", "tests": %d, "failed": %d}\n' "$release" "$all" "$failed" >"$json"
fi
exit "$status"
