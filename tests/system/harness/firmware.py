"""UEFI firmware as Debian packages it: the code, and what a new machine's variables are."""

import pathlib
from typing import NamedTuple

OVMF = pathlib.Path("/usr/share/OVMF")
BLOB = "uefi.vars"
# What the firmware that keeps the guest away from its variables needs of the machine.
SMM = ("-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on",
       "-global", "ICH9-LPC.disable_s3=1")


class Firmware(NamedTuple):
    """Names of files, and options for QEMU."""
    code: str
    template: str
    options: tuple = ()

    @property
    def template_path(self):
        return OVMF / self.template

    def create_options(self):
        """For `vnvram create`: the blob of a new machine."""
        return ("--uefi", self.template_path)

    def machine_options(self, socket, reconnect_seconds=0):
        """The code from its file, the variables from the export at the socket."""
        return (*self.options,
                "-blockdev", f"driver=file,node-name=code,read-only=on,filename={OVMF / self.code}",
                "-blockdev", "driver=nbd,node-name=variables,server.type=unix,"
                f"server.path={socket},export={BLOB},reconnect-delay={reconnect_seconds}",
                "-machine", "pflash0=code,pflash1=variables")


PLAIN = Firmware("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd")
SECURE = Firmware("OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.fd", SMM)
# With keys on them: Microsoft's, and ones that everybody has the private half of.
ENROLLED = (Firmware("OVMF_CODE_4M.ms.fd", "OVMF_VARS_4M.ms.fd", SMM),
            Firmware("OVMF_CODE_4M.snakeoil.fd", "OVMF_VARS_4M.snakeoil.fd", SMM))
OPEN = (PLAIN,)
SMALLEST_SECURE = SECURE
# Debian 13 has no firmware of 2 MiB, with its store of 128 KiB.
if (OVMF / "OVMF_VARS.fd").exists():
    OPEN += (Firmware("OVMF_CODE.fd", "OVMF_VARS.fd"),)
    ENROLLED += (Firmware("OVMF_CODE.ms.fd", "OVMF_VARS.ms.fd", SMM),)
    SMALLEST_SECURE = Firmware("OVMF_CODE.secboot.fd", "OVMF_VARS.fd", SMM)
