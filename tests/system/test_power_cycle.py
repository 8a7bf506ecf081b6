"""TPM 2.0: what a guest stored is there after power cycles, orderly and not."""

import subprocess
import unittest

from harness.case import AREA, AREA_TEXT, COUNTER, SECRET, GuestCase, read_counter
from harness.case import store_three_things, three_things
from harness.qemu import complaints_of

ZERO_PCR = "0" * 64


def read_pcr(qemu, number):
    line = qemu.must(f"tpm2_pcrread sha256:{number} | tail -n 1")
    return line.split("0x")[1].lower()


def lockout_counter(qemu):
    """How many wrong guesses the TPM has counted."""
    line = qemu.must("tpm2_getcap properties-variable | grep LOCKOUT_COUNTER")
    return int(line.split(":")[1], 16)


class PowerCycle:
    """Run for each of the two interfaces that a TPM 2.0 can have."""

    def test_power_cycle(self):
        tpm = self.start_tpm()
        first = self.boot(tpm)
        store_three_things(first)
        counter, area, secret = three_things(first)
        self.assertEqual((area, secret), (AREA_TEXT, SECRET))
        first.must("tpm2_pcrextend 16:sha256=" + "5a" * 32)
        self.assertNotEqual(read_pcr(first, 16), ZERO_PCR)
        first.quit()
        tpm.stop()
        self.check()

        tpm = self.start_tpm()
        second = self.boot(tpm)
        self.assertEqual(three_things(second), (counter, AREA_TEXT, SECRET))
        self.assertEqual(read_pcr(second, 16), ZERO_PCR, "a register survived without power")
        second.must(f"tpm2_nvincrement {COUNTER} -C o")
        second.kill()
        tpm.kill()
        self.check()

        tpm = self.start_tpm()
        third = self.boot(tpm)
        self.assertEqual(three_things(third), (counter + 1, AREA_TEXT, SECRET))
        third.quit()
        tpm.stop()
        self.check()


class PowerCycleCrb(PowerCycle, GuestCase):
    model = "tpm-crb"


class PowerCycleTis(PowerCycle, GuestCase):
    model = "tpm-tis"


class SameTpmProcess(GuestCase):
    """vnvram-tpm outlives its machines: the guest's reset, and QEMU."""

    def test_reset_keeps_the_tpm(self):
        tpm = self.start_tpm()
        qemu = self.boot(tpm)
        store_three_things(qemu)
        before = three_things(qemu)
        for _ in range(2):
            qemu.must("tpm2_pcrextend 16:sha256=" + "5a" * 32)
            qemu.qmp.execute("system_reset")
            qemu.wait_ready()
            self.assertEqual(three_things(qemu), before)
            self.assertEqual(read_pcr(qemu, 16), ZERO_PCR)
        self.assertTrue(tpm.running())
        qemu.quit()
        tpm.stop()
        self.check()

    def test_next_machine_takes_over(self):
        tpm = self.start_tpm()
        first = self.boot(tpm)
        store_three_things(first)
        before = three_things(first)
        first.quit()
        second = self.boot(tpm)
        self.assertEqual(three_things(second), before)
        second.must(f"tpm2_nvincrement {COUNTER} -C o")
        second.kill()
        third = self.boot(tpm)
        self.assertEqual(read_counter(third), before[0] + 1)
        self.assertTrue(tpm.running())
        third.quit()
        tpm.stop()
        self.check()

    def test_resets_lock_nobody_out(self):
        """A guest that uses a PIN and is reset, or ended, without a word to its TPM, again and
        again: more often than a TPM lets anybody guess."""
        tpm = self.start_tpm()
        qemu = self.boot(tpm)
        qemu.must(f"tpm2_nvdefine {AREA} -C o -s 8 -p 1234 -a 'authread|authwrite'")
        def use_pin():
            qemu.must(f"printf whatever | tpm2_nvwrite {AREA} -C {AREA} -P 1234 -i -")
            self.assertEqual(lockout_counter(qemu), 0)
        for _ in range(4):
            use_pin()
            qemu.qmp.execute("system_reset")
            qemu.wait_ready()
        for _ in range(2):
            use_pin()
            qemu.quit()
            qemu = self.boot(tpm)
        use_pin()
        qemu.kill()  # The next QEMU's first STOP is this one's.
        qemu = self.boot(tpm)
        use_pin()
        qemu.quit()
        tpm.stop()
        self.check()

    def test_control_client_beside_qemu(self):
        """An operator may ask while a machine runs; what would change the TPM is refused."""
        def ask(option):
            return subprocess.run(["swtpm_ioctl", "--unix", tpm.control, option], timeout=60,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  check=False).returncode
        tpm = self.start_tpm()
        qemu = self.boot(tpm)
        qemu.must(f"nvloop define {COUNTER}")
        qemu.start_loop(COUNTER)
        qemu.wait_value(10)
        for _ in range(20):
            self.assertEqual(ask("-c"), 0)
            self.assertNotEqual(ask("--stop"), 0)
            self.assertNotEqual(ask("-s"), 0)
        qemu.wait_value(qemu.value_now() + 10)
        record = qemu.quit()
        self.assertEqual(complaints_of(record), [])
        tpm.stop()
        self.check()


if __name__ == "__main__":
    unittest.main()
