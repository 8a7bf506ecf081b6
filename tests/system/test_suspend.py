"""Suspend to a file and resume, with a new QEMU and a new TPM process: volatile state survives."""

import unittest

from harness.case import COUNTER, GuestCase
from harness.qemu import complaints_of, drops_in, values_of
from harness.volatile_state import VolatileState


class Suspend:
    def test_volatile_state_survives(self):
        tpm = self.start_tpm()
        first = self.boot(tpm)
        first.must(f"nvloop define {COUNTER}")
        state = VolatileState(first)
        first.start_loop(COUNTER)
        first.wait_value(10)
        file = self.workspace.file("suspended")
        self.before_suspending(first)
        first.suspend_to(file)
        before = first.quit()
        tpm.stop()
        self.check()

        # The image is sealed: its state is in the file.
        tpm = self.start_tpm(options=["--incoming"])
        second = self.start_machine(tpm, incoming="defer")
        second.resume_from(file)
        second.wait_value(values_of(before)[-1] + 10)
        second.stop_loop()
        state.check(second)
        after = second.quit()
        tpm.stop()
        self.assertEqual(complaints_of(after), [])
        self.assertEqual(drops_in(values_of(before + after)), [])
        self.check()

    def before_suspending(self, qemu):
        """A running machine can be suspended as it is."""


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
