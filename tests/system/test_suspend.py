"""Suspend to a file and resume, with a new QEMU and a new TPM process: volatile state survives."""

import unittest

from harness.case import COUNTER, GuestCase
from harness.qemu import complaints_of, drops_in, values_of


class Suspend:
    def test_volatile_state_survives(self):
        tpm = self.start_tpm()
        first = self.boot(tpm)
        register, handle, public = self.prepare(first)
        first.start_loop(COUNTER)
        first.wait_value(10)
        file = self.workspace.file("suspended")
        self.before_suspending(first)
        first.suspend_to(file)
        before = first.quit()
        tpm.stop()
        self.check()

        tpm = self.start_tpm()
        second = self.start_machine(tpm, incoming="defer")
        second.resume_from(file)
        second.wait_value(values_of(before)[-1] + 10)
        second.must("kill $! && ! wait $!")
        self.assertEqual(second.must("tpm2_pcrread sha256:16"), register)
        self.assertEqual(second.must(f"tpm2_readpublic -c {handle}"), public)
        second.must("tpm2_policypcr -Q -S session -l sha256:16")
        after = second.quit()
        tpm.stop()
        self.assertEqual(complaints_of(after), [])
        self.assertEqual(drops_in(values_of(before + after)), [])
        self.check()

    def before_suspending(self, qemu):
        """A running machine can be suspended as it is."""

    @staticmethod
    def prepare(qemu):
        """A changed register, a key and a session, all of them in the TPM's volatile memory: without
        the kernel's resource manager, which would keep key and session in the guest's memory."""
        qemu.must(f"nvloop define {COUNTER}")
        qemu.must("export TPM2TOOLS_TCTI=device:/dev/tpm0")
        qemu.must("tpm2_pcrextend 16:sha256=" + "5a" * 32)
        register = qemu.must("tpm2_pcrread sha256:16")
        qemu.must("tpm2_createprimary -Q -C o -G ecc -c primary")
        handle = qemu.must("tpm2_getcap handles-transient").split()[-1]
        public = qemu.must(f"tpm2_readpublic -c {handle}")
        qemu.must("tpm2_startauthsession --policy-session -S session")
        qemu.must("tpm2_policypcr -Q -S session -l sha256:16")
        return register, handle, public


class SuspendTis(Suspend, GuestCase):
    model = "tpm-tis"


class SuspendCrb(Suspend, GuestCase):
    model = "tpm-crb"

    def before_suspending(self, qemu):
        # The answer to a command that is under way at the switch-over reaches the buffer of this
        # device, which is RAM, after QEMU has sent the last of the RAM. Stopped first, as libvirt
        # does it, the answer comes while the RAM is being sent.
        qemu.qmp.execute("stop")


if __name__ == "__main__":
    unittest.main()
