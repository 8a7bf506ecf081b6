"""Machines whose TPM and UEFI variables are in one image, which `vnvram serve` serves."""

from .firmware import PLAIN
from .machine_process import MachineProcess


class Served:
    """Before GuestCase in a class's bases: one command in the place of vnvram-tpm."""

    image_options = ("--tpm2", *PLAIN.create_options())
    reconnect_seconds = 0  # How long QEMU waits for an nbdkit that has ended.

    def start_tpm(self, image=None, options=()):
        machine = MachineProcess(self.workspace, image or self.image, *options)
        self.children.append(machine)
        return machine

    def kill_tpm(self, tpm):
        tpm.kill_all()

    def start_machine(self, tpm, disk=None, incoming=None, options=()):
        flash = PLAIN.machine_options(tpm.socket, self.reconnect_seconds)
        return super().start_machine(tpm, disk, incoming, (*flash, *options))
