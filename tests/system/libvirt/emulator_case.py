"""Machines of a libvirtd that finds ours by the name of swtpm."""

import hashlib
import uuid

from harness.case import COUNTER
from harness.tpm_process import program
from harness.vnvram import vnvram

from .emulated_machine import STATE, EmulatedMachine
from .libvirt_case import LibvirtCase

OURS = program("vnvram-swtpm")
# Where swtpm_setup puts the certificates of the endorsement keys, and of the platform.
CERTIFICATES = ("0x1C00002", "0x1C00016", "0x1C08000")
KEYS = ("0x81010001", "0x81010016")


class EmulatorCase(LibvirtCase):
    swtpm = OURS  # Of hosts unless one is named.

    @classmethod
    def new_host(cls, name, swtpm=None, preload=None):
        return super().new_host(name, swtpm or cls.swtpm, preload)

    def machine(self, name, host=None, **more):
        return self.machine_on(host or self.host, name, **more).define()

    def machine_on(self, host, name, **more):
        """Not defined."""
        machine = EmulatedMachine(self.workspace, host, name, self.guest, **more)
        self.addCleanup(self._end, machine)
        return machine

    def must_hold(self, machine, value):
        self.assertEqual(int(machine.must(f"nvloop read {COUNTER}")), value)

    def identity(self, machine):
        """What makes this TPM this one. The guest must have been given all of it."""
        there = machine.must("tpm2_getcap handles-nv-index; tpm2_getcap handles-persistent")
        for handle in (*CERTIFICATES, *KEYS):
            self.assertIn(handle, there)
        return machine.must("; ".join(
            [f"tpm2_nvread {certificate} -C o | sha256sum" for certificate in CERTIFICATES[:2]]
            + [f"tpm2_readpublic -c {key}" for key in KEYS]))

    def off(self, machine, kept=()):
        """Its TPM is in our image, and that is whole. `kept`: what else is in its folder."""
        machine.must_be_off()
        self.assertEqual(machine.files(), [STATE, *kept])
        vnvram("check", machine.image, *self.key_of(machine))

    def destroyed(self, machine):
        self.host.must("destroy", machine.name)
        self.off(machine)

    def new_secret(self, passphrase, *hosts):
        """Returns its UUID."""
        name = str(uuid.uuid4())
        xml = self.workspace.file(f"{name}.xml")
        xml.write_text(f"<secret ephemeral='no' private='yes'><uuid>{name}</uuid><usage type='vtpm'>"
                       f"<name>{name}</name></usage></secret>", "utf-8")
        for host in hosts or (self.host,):
            host.must("secret-define", xml)
            self.set_secret(name, passphrase, host)
        return name

    def set_secret(self, name, passphrase, host=None):
        file = self.workspace.file("passphrase")
        file.write_text(passphrase, "ascii")
        (host or self.host).must("secret-set-value", name, "--file", file, "--plain")
        # As swtpm derives a key, for whoever opens the image without it.
        key = hashlib.pbkdf2_hmac("sha512", passphrase.encode(), b"swtpm", 1000, 32)
        self.workspace.file(f"{name}.key").write_bytes(key)

    def key_of(self, machine):
        """Options of vnvram's."""
        return ["--key", f"file:{self.workspace.file(machine.secret + '.key')}"] if machine.secret else []
