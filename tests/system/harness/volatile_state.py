"""What a guest keeps in its TPM's volatile memory: a register, a key, a session."""

from .qemu import Qemu


class VolatileState:
    """Made in a guest when this is. Without the kernel's resource manager, which would keep key and
    session in the guest's memory: so /dev/tpm0 must be free, then and in check()."""

    def __init__(self, qemu: Qemu):
        qemu.must("export TPM2TOOLS_TCTI=device:/dev/tpm0")
        qemu.must("tpm2_pcrextend 16:sha256=" + "5a" * 32)
        self._register = qemu.must("tpm2_pcrread sha256:16")
        qemu.must("tpm2_createprimary -Q -C o -G ecc -c primary")
        self._handle = qemu.must("tpm2_getcap handles-transient").split()[-1]
        self._public = qemu.must(f"tpm2_readpublic -c {self._handle}")
        qemu.must("tpm2_startauthsession --policy-session -S session")
        qemu.must("tpm2_policypcr -Q -S session -l sha256:16")

    def check(self, qemu: Qemu):
        """All of it has to be there, in whatever machine the guest runs now."""
        for command, expected in (("tpm2_pcrread sha256:16", self._register),
                                  (f"tpm2_readpublic -c {self._handle}", self._public)):
            found = qemu.must(command)
            if found != expected:
                raise AssertionError(f"{command}: {found}\ninstead of {expected}")
        qemu.must("tpm2_policypcr -Q -S session -l sha256:16")
