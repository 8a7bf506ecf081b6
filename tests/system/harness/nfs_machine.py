"""A guest with an NFS server, and two hosts that mount from it.

All three are one kernel: it serves NFS, and has two network namespaces, each with a host name of its own and a cable
to the server. To the server these are two clients: they have a lease, locks and a page cache each.
"""

import subprocess

from guest.guest_image import NFS_MODULES, guest_image, nfs_files, program_files, with_files

from .nv_machine import nv_machine_files
from .qemu import Qemu
from .tpm_process import program

HOSTS = ("a", "b")
EXPORT = "/export"
SIZE_BYTES = 48 << 20
# The shortest that there is; the kernel's usual one is 90.
LEASE_SECONDS = 10
# Cables come and go within seconds here.
MOUNT_OPTIONS = "vers=4.2,hard,timeo=20,retrans=2"

_SET_UP = r"""
set -e
for module in $MODULES; do
  if [ -s /lib/modules/$module.ko ]; then insmod /lib/modules/$module.ko; fi
done
# A client of the same kernel may go past the network, in those that can.
if [ -e /sys/module/nfs/parameters/localio_enabled ]; then echo N >/sys/module/nfs/parameters/localio_enabled; fi
mkdir -p $EXPORT /run /tmp /etc /var/lib/nfs/nfsdcld /run/rpc_pipefs
until [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 /dev/vda $EXPORT
mount -t nfsd nfsd /proc/fs/nfsd
mount -t rpc_pipefs rpc_pipefs /run/rpc_pipefs
echo $LEASE >/proc/fs/nfsd/nfsv4leasetime
echo $LEASE >/proc/fs/nfsd/nfsv4gracetime
echo "nfs 2049/tcp" >/etc/services
echo "$EXPORT 10.0.0.0/8(rw,sync,no_root_squash,no_subtree_check)" >/etc/exports
: >/var/lib/nfs/etab
: >/var/lib/nfs/rmtab
nfsdcld -p /run/rpc_pipefs -s /var/lib/nfs/nfsdcld
exportfs -a
rpc.mountd -N 3
rpc.nfsd -N 3 -V 4.2 4
number=0
for host in $HOSTS; do
  number=$((number + 1))
  unshare -n -u sh -c "hostname host-$host; exec sleep 1000000" >/dev/null 2>&1 &
  echo $! >/run/host-$host
  until [ "$(nsenter -t $! -u hostname)" = host-$host ]; do sleep 0.1; done
  /bin/ip link add cable-$host type veth peer name eth0 netns $!
  /bin/ip addr add 10.0.$number.1/24 dev cable-$host
  /bin/ip link set cable-$host up
  nsenter -t $! -n /bin/ip link set lo up
  nsenter -t $! -n /bin/ip addr add 10.0.$number.2/24 dev eth0
  nsenter -t $! -n /bin/ip link set eth0 up
  mkdir -p /$host
  nsenter -t $! -n -u mount.nfs 10.0.$number.1:$EXPORT /$host -o $OPTIONS
done
"""


class NfsMachine(Qemu):
    """Its hosts are there, with the export mounted at /a and /b, and `vnvram` and `vnvram-tpm`."""

    def __init__(self, workspace):
        variables = {"MODULES": " ".join(NFS_MODULES), "HOSTS": " ".join(HOSTS), "EXPORT": EXPORT,
                     "LEASE": LEASE_SECONDS, "OPTIONS": MOUNT_OPTIONS}
        script = "".join(f"{name}='{value}'\n" for name, value in variables.items()) + _SET_UP
        image = with_files(guest_image(),
                           {**nfs_files(), **nv_machine_files(workspace),
                            **program_files("/usr/sbin/ip", program("vnvram"), program("vnvram-tpm")),
                            "set_up_nfs": script.encode()},
                           workspace.file("initramfs"))
        disk = workspace.file("export.ext4")
        with open(disk, "wb") as file:
            file.truncate(SIZE_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", disk], check=True)
        super().__init__(workspace, image, options=("-drive", f"if=virtio,format=raw,file={disk}"))
        try:
            self.wait_ready()
            self.must("sh /set_up_nfs")
        except BaseException:
            self.kill()
            raise

    @staticmethod
    def on(host, words):
        """The words of a shell that run a program on a host; it is the process that is begun, and no child of it."""
        return f"nsenter -t $(cat /run/host-{host}) -n -u {words}"

    def cut(self, host):
        """The host has power, and no cable."""
        self.must(f"/bin/ip link set cable-{host} down")

    def join(self, host):
        self.must(f"/bin/ip link set cable-{host} up")

    def stop_server(self):
        """It forgets what its clients have open and locked; they may say it again when it is back."""
        self.must("rpc.nfsd 0")

    def start_server(self):
        self.must("rpc.nfsd -N 3 -V 4.2 4")
