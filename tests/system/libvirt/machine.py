"""A machine of libvirt's, whose TPM and UEFI variables are in an image."""

import shutil
import time

from harness.child import Deadline, PATIENCE_SECONDS
from harness.guest_shell import GuestShell
from harness.stream import Stream

NAMESPACE = "https://vnvram.org/libvirt/1"
OVMF = "/usr/share/OVMF/OVMF_CODE_4M.fd"
TPM = """<tpm model='tpm-crb'><backend type='external'>
      <source type='unix' mode='connect' path='{folder}/tpm.sock'/></backend></tpm>"""
STORE = """<loader readonly='yes' type='pflash'>{firmware}</loader>
    <nvram type='network'><source protocol='nbd' name='uefi.vars'>
      <host transport='unix' socket='{folder}/nbd.sock'/></source></nvram>"""
DOMAIN = """<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{name}</name>
  <memory unit='MiB'>256</memory>
  <metadata>{metadata}</metadata>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    {store}
    <kernel>{kernel}</kernel>
    <initrd>{initramfs}</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 no_timer_check</cmdline>
  </os>
  <features><acpi/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    {tpm}
    <serial type='unix'><source mode='connect' path='{console}'/></serial>
  </devices>
</domain>
"""


class Machine(GuestShell):
    """Its console is connected anew at each start."""

    def __init__(self, workspace, host, name, image, guest, uefi=False, **changes):
        self.workspace, self.host, self.name, self.image = workspace, host, name, image
        self.folder = f"/run/vnvram/{name}"
        # The same path on each host; where it is for us depends on the host.
        self._console_path = f"/run/{name}.console"
        self.console = None
        self._guest, self._uefi, self._changes = guest, uefi, changes

    def xml(self):
        folder = self._changes.get("folder", self.folder)
        parts = {
            "metadata": f"<vnvram:image xmlns:vnvram='{NAMESPACE}' location='{self.image}'/>",
            "store": STORE.format(folder=folder, firmware=OVMF) if self._uefi else "",
            "tpm": TPM.format(folder=folder),
            **self._changes,
        }
        return DOMAIN.format(name=self.name, kernel=self._guest.kernel, console=self._console_path,
                             initramfs=self._guest.initramfs, **parts)

    def define(self):
        path = self.workspace.file(f"{self.name}.xml")
        path.write_text(self.xml(), encoding="utf-8")
        self.host.must("define", path)
        return self

    def listen(self, host=None):
        """For the console of a QEMU that comes."""
        self.close()
        path = (host or self.host).inside(self._console_path)
        path.unlink(missing_ok=True)
        self.console = Stream(path, self.workspace.log(f"console-{self.name}"))
        path.chmod(0o666)

    def start(self, *options):
        """Boots."""
        self.begin(*options)
        return self.wait_ready()

    def begin(self, *options):
        """Boots, or goes on with a managed save."""
        self.listen()
        self.host.must("start", self.name, *options)
        return self

    def restore(self, file):
        self.listen()
        self.host.must("restore", file)
        return self

    def refused(self, *options):
        """What virsh says of a start that must fail; nothing may run then."""
        self.listen()
        text = self.host.refuses("start", self.name, *options)
        self.must_be_off()
        return text

    def power_off(self):
        """By the guest itself."""
        self.console.send(b"poweroff poweroff -f\n")
        self.console.wait_end()
        self.wait_off()

    def wait_off(self):
        """Until libvirt has done all that belongs to the end of a machine."""
        deadline = Deadline(PATIENCE_SECONDS)
        while self.state() != "shut off" or self.served():
            if deadline.passed():
                raise TimeoutError(f"{self.name} is {self.state()}: {self.host.logs_text()}")
            time.sleep(0.05)

    def state(self):
        return self.host.must("domstate", self.name).strip()

    def served(self):
        """By a `vnvram serve` that runs."""
        return self.host.inside(f"{self.folder}/serve.pid").exists()

    def must_be_off(self):
        if self.state() != "shut off" or self.served():
            raise AssertionError(f"{self.name} is {self.state()}, {self.host.logs_text()}")

    def close(self):
        if self.console:
            self.console.close()
            self.console = None


def copy_guest(guest, folder):
    """libvirt gives the kernel's files to QEMU's user while a machine runs."""
    return type(guest)(*(shutil.copy(path, folder) for path in guest))
