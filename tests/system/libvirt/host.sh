#!/bin/sh
# A libvirtd with folders and a name of its own: the first process of name spaces (mount, pid, uts), with
# which everything ends that it has started. It says itself that it is ready (NOTIFY_SOCKET).
#
# usage: host.sh FOLDER NAME HOOK PROGRAMS LOG [SWTPM]
# SWTPM is what this host has at /usr/bin/swtpm; Debian's unless it is given.
set -eu
folder=$1 name=$2 hook=$3 programs=$4 log=$5 swtpm=${6:-}

hostname "$name"
# Some of these come with Debian's package that starts libvirtd by systemd, and are there without it only if
# they are made. They stay: one that is removed takes away what another test has mounted on it.
for path in /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /run \
            /var/lib/swtpm-localca /var/log/swtpm; do
  mkdir -p "$folder$path" "$path"
  mount --bind "$folder$path" "$path"
done
# Without /dev/kvm: where it is and QEMU's user may not open it, libvirt looks at QEMU anew for each call.
mkdir "$folder/dev" "$folder/dev/pts" "$folder/dev/shm"
for node in null zero full random urandom tty; do
  touch "$folder/dev/$node"
  mount --bind "/dev/$node" "$folder/dev/$node"
done
ln -s pts/ptmx "$folder/dev/ptmx"
ln -s /proc/self/fd "$folder/dev/fd"
mount -t tmpfs -o mode=1777 tmpfs "$folder/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$folder/dev/pts"
mount --rbind "$folder/dev" /dev

# Who certifies this host's TPMs: makes its own keys as the first one comes.
chown tss:tss /var/lib/swtpm-localca
[ -z "$swtpm" ] || mount --bind "$swtpm" /usr/bin/swtpm

mkdir -p /etc/libvirt/hooks/qemu.d
install -m 755 "$hook" /etc/libvirt/hooks/qemu.d/vnvram

# Debian's user for QEMU comes with a package that also starts libvirtd by systemd.
cp /etc/passwd /etc/group "$folder/"
getent group kvm >/dev/null || echo 'kvm:x:64056:' >>"$folder/group"
if ! getent passwd libvirt-qemu >/dev/null; then
  kvm=$(sed -n 's/^kvm:[^:]*:\([0-9]*\):.*/\1/p' "$folder/group")
  echo "libvirt-qemu:x:64055:$kvm::/var/lib/libvirt:/usr/sbin/nologin" >>"$folder/passwd"
  echo 'libvirt-qemu:x:64055:libvirt-qemu' >>"$folder/group"
fi
for file in passwd group; do
  mount --bind "$folder/$file" "/etc/$file"
done

cat >/etc/libvirt/libvirtd.conf <<END
auth_unix_rw = "none"
auth_unix_ro = "none"
host_uuid = "$(cat /proc/sys/kernel/random/uuid)"
log_outputs = "2:file:$log"
END
cat >/etc/libvirt/qemu.conf <<END
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
END
# Not exec: what daemons leave behind is this shell's, which takes note of their ends. A libvirtd that is
# killed is started again, as systemd would.
while :; do
  PATH=$programs:$PATH libvirtd &
  wait $! || true
done
