"""A guest with a storage network of its own: one LUN, which it has as two hosts have it.

The guest's kernel has an iSCSI target, and logs in to it twice, by two names: to the target these are two
hosts (two I_T nexuses), each with a disk, a page cache and locks of its own. (LIO's loopback would be simpler, but
in Linux 6.1 it never comes back from PREEMPT AND ABORT: its work waits for itself.)
"""

from guest.guest_image import guest_image, program_files, san_files, with_files

from .qemu import Qemu
from .tpm_process import program

HOSTS = {"a": ("/dev/sda", "127.0.0.1"), "b": ("/dev/sdb", "127.0.0.2")}
TARGET = "iqn.2026-12.test.vnvram:lun"
SIZE_BYTES = 16 << 20

_SET_UP = r"""
set -e
mkdir -p /etc/target/pr /run  # The target keeps reservations there, and refuses them without.
for module in $MODULES; do
  if [ -s /lib/san/$module.ko ]; then insmod /lib/san/$module.ko; fi
done
mount -t configfs configfs /sys/kernel/config
target=/sys/kernel/config/target
mkdir -p $target/core/fileio_0/lun
echo fd_dev_name=/lun,fd_dev_size=$SIZE >$target/core/fileio_0/lun/control
echo 1 >$target/core/fileio_0/lun/enable
mkdir $target/iscsi
portals=$target/iscsi/$TARGET/tpgt_1
mkdir -p $portals/lun/lun_0
ln -s $target/core/fileio_0/lun $portals/lun/lun_0/lun
echo 0 >$portals/attrib/authentication
for host in $HOSTS; do
  name=${host%=*} address=${host#*=}
  mkdir -p $portals/np/$address:3260 $portals/acls/iqn.2026-12.test.host:$name/lun_0
  ln -s $portals/lun/lun_0 $portals/acls/iqn.2026-12.test.host:$name/lun_0/lun
done
echo 1 >$portals/enable
disks=0
for host in $HOSTS; do
  name=${host%=*} address=${host#*=}
  iscsistart -i iqn.2026-12.test.host:$name -t $TARGET -g 1 -a $address -p 3260
  disks=$((disks + 1))
  until [ $(ls -d /sys/block/sd* 2>/dev/null | wc -l) -ge $disks ]; do sleep 0.1; done
done
"""


def start_san_machine(workspace, modules, files=()):
    """A machine that has its two disks, `vnvram` and `vnvram-tpm`. `modules`: what the kernel loads, in order. `files`: what
    it has beside, {path: content}."""
    variables = {"MODULES": " ".join(modules), "SIZE": SIZE_BYTES, "TARGET": TARGET,
                 "HOSTS": " ".join(f"{name}={address}" for name, (_, address) in HOSTS.items())}
    script = "".join(f"{name}='{value}'\n" for name, value in variables.items()) + _SET_UP
    image = with_files(guest_image(),
                       {**dict(files), **san_files(), **program_files(program("vnvram"), program("vnvram-tpm")),
                        "set_up_san": script.encode()},
                       workspace.file("initramfs"))
    qemu = Qemu(workspace, image)
    try:
        qemu.wait_ready()
        qemu.must("sh /set_up_san")
    except BaseException:
        qemu.kill()
        raise
    return qemu
