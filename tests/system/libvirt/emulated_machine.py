"""A machine whose TPM libvirt starts by itself, as it starts swtpm."""

from .machine import Machine

EMULATOR = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'>{encryption}</backend></tpm>"
ENCRYPTION = "<encryption secret='{secret}'/>"
DISK = """<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
      <source file='{disk}'/><target dev='vda' bus='virtio'/></disk>"""
STATE = "tpm2-00.permall"


class EmulatedMachine(Machine):
    """`image` is in the folder that libvirt makes for its UUID. `secret`: of libvirt's, by its UUID."""

    def __init__(self, workspace, host, name, guest, secret=None, disk=None, **changes):
        encryption = ENCRYPTION.format(secret=secret) if secret else ""
        devices = EMULATOR.format(encryption=encryption) + (DISK.format(disk=disk) if disk else "")
        super().__init__(workspace, host, name, None, guest, metadata="", tpm=devices, **changes)
        self.secret = secret
        self.swtpm_folder = host.inside("/var/lib/libvirt/swtpm")
        self.uuid = None

    def define(self, uuid=None):
        path = self.workspace.file(f"{self.name}.xml")
        identity = f"<uuid>{uuid}</uuid>\n  <memory" if uuid else "<memory"
        path.write_text(self.xml().replace("<memory", identity, 1), encoding="utf-8")
        self.host.must("define", path)
        return self.known_as(self.host.must("domuuid", self.name).strip())

    def known_as(self, uuid):
        """Also where libvirt defines it by itself, when it comes from another host."""
        self.uuid = uuid
        self.image = self.state_folder / STATE
        return self

    @property
    def uuid_folder(self):
        return self.swtpm_folder / self.uuid

    @property
    def state_folder(self):
        return self.uuid_folder / "tpm2"

    def files(self):
        """Of its TPM, but for swtpm's lock."""
        return sorted(path.name for path in self.state_folder.iterdir() if path.name != ".lock")

    def kill_tpm(self):
        """SIGKILL."""
        (pid_file,) = self.host.inside("/run/libvirt/qemu/swtpm").glob(f"*-{self.name}-swtpm.pid")
        self.host.kill_process(f"/run/libvirt/qemu/swtpm/{pid_file.name}")

    def kill_qemu(self):
        """SIGKILL."""
        self.host.kill_process(f"/run/libvirt/qemu/{self.name}.pid")
        self.wait_off()
