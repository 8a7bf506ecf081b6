"""A guest that is reset, or loses its power, again and again without saying so to its TPM: no lock-out."""

import signal
import struct
import unittest

from support import BUFFER_SIZE, SHUTDOWN, STOP, swtpm_ioctl, tpm2, vnvram
from shutdown_case import (AUTH_FAIL, FAILURE, ROUNDS, SENT, WRONG_PIN, ShutdownCase, define_area, lockout_counter,
                           read_area)


class LockOut(ShutdownCase):
    """The same guest each time: it uses a PIN, and then its power goes."""

    def rounds(self, options=()):
        """Yields what is there before each cut, and takes by send() what is there after it."""
        image = self.new_image()
        tpm = self.start(image, options=options)
        control, client = self.power_on(tpm)
        define_area(client)
        for round_number in range(ROUNDS):
            self.assertEqual(read_area(client), 0, f"round {round_number}")
            tpm, control, client = yield tpm, control, client
            self.assertEqual(lockout_counter(client), 0, f"round {round_number}")
        self.assertEqual(read_area(client), 0)
        # What the counter is for still works.
        self.assertEqual(read_area(client, WRONG_PIN), AUTH_FAIL)
        self.assertEqual(lockout_counter(client), 1)
        tpm.stop()
        vnvram("check", image)
        image.unlink()

    def assert_no_lockout(self, cut, options=()):
        rounds = self.rounds(options)
        there = next(rounds)
        while there:
            try:
                there = rounds.send(cut(*there))
            except StopIteration:
                there = None

    def restarted(self, control, client):
        control.close()
        client.close()
        tpm = self.start(self.workspace.file("nvram.img"))
        return tpm, *self.power_on(tpm)

    def test_init(self):
        def cut(tpm, control, client):
            self.boot(control, client)
            return tpm, control, client
        self.assert_no_lockout(cut)

    def test_reset_as_qemu_does_it(self):
        def cut(tpm, control, client):
            for size in (0, 4096, 0, 4096):
                self.assertEqual(control.result(STOP), 0)
                self.assertEqual(control.ask(BUFFER_SIZE, struct.pack(">I", size), 16)[0], 0)
            self.boot(control, client)
            return tpm, control, client
        self.assert_no_lockout(cut)

    def test_the_next_machine_on_the_same_tpm(self):
        def cut(tpm, control, client):
            self.assertEqual(control.result(SHUTDOWN), 0)
            return tpm, *self.next_machine(tpm, control, client)
        self.assert_no_lockout(cut)

    def test_a_machine_that_is_killed_and_the_next_one(self):
        """Nobody says STOP for it but the next one."""
        def cut(tpm, control, client):
            control.close()
            client.close()
            control = self.control(tpm)
            client = self.taken_control(control)
            self.assertEqual(control.result(STOP), 0)
            self.boot(control, client)
            return tpm, control, client
        self.assert_no_lockout(cut)

    def taken_control(self, control):
        """Once it has been noticed that the one before has gone."""
        for _ in range(1000):
            try:
                client = control.take_control()
                self.addCleanup(client.close)
                return client
            except PermissionError:
                continue
        raise AssertionError("the controller never went away")

    def test_shutdown_before_the_tpm_is_killed(self):
        """It was answered from memory; it is durable before any TPM command is answered."""
        def cut(tpm, control, client):
            self.assertEqual(control.result(SHUTDOWN), 0)
            self.assertEqual(client.read_clock(), FAILURE)
            tpm.kill()
            return self.restarted(control, client)
        self.assert_no_lockout(cut)

    def test_the_end_of_the_process(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            def cut(tpm, control, client, number=number):
                tpm.child.send(number)
                self.assertEqual(tpm.child.wait(), 0)
                self.assertIn(SENT, self.log_of(tpm))
                return self.restarted(control, client)
            with self.subTest(signal=number):
                self.assert_no_lockout(cut)

    def test_shutdown_and_the_end_of_the_process(self):
        def cut(tpm, control, client):
            self.assertEqual(control.result(SHUTDOWN), 0)
            tpm.stop()
            return self.restarted(control, client)
        self.assert_no_lockout(cut)

    def test_a_power_cut_counts(self):
        """As on real hardware: nobody can tell it from an attack."""
        image = self.new_image()
        tpm = self.start(image)
        control, client = self.power_on(tpm)
        define_area(client)
        for round_number in range(2):
            self.assertEqual(read_area(client), 0)
            tpm.kill()
            tpm, control, client = self.restarted(control, client)
            self.assertEqual(lockout_counter(client), round_number + 1)
        self.assertEqual(read_area(client), 0)
        tpm.stop()

    def test_the_operator_may_want_none_of_it(self):
        image = self.new_image()
        tpm = self.start(image, options=["--no-auto-shutdown"])
        control, client = self.power_on(tpm)
        define_area(client)
        self.assertEqual(read_area(client), 0)
        self.boot(control, client)
        self.assertEqual(lockout_counter(client), 1)
        self.assertNotIn(SENT, self.log_of(tpm))
        tpm.stop()

    def test_by_tpm2_tools_and_swtpm_ioctl(self):
        image = self.new_image()
        tpm = self.start_server(image)
        tcti, folder = f"swtpm:path={self.server}", self.workspace.file("tools")
        folder.mkdir()
        (folder / "in").write_bytes(b"whatever")
        tpm2(tcti, folder, "nvdefine", "0x1500007", "-C", "o", "-s", 8, "-p", "1234",
             "-a", "authread|authwrite")
        def use():
            tpm2(tcti, folder, "nvwrite", "0x1500007", "-C", "0x1500007", "-P", "1234", "-i", "in")
        def assert_no_lockout():
            text = tpm2(tcti, folder, "getcap", "properties-variable").decode()
            self.assertIn("TPM2_PT_LOCKOUT_COUNTER: 0x0", text)
        for words in (("-i",), ("--stop", "-i"), ("-s", "-i"), None):
            for _ in range(ROUNDS):
                use()
                if words is None:
                    tpm.stop()
                    tpm = self.start_server(image)
                else:
                    for word in words:
                        swtpm_ioctl(tpm, word)
                    tpm2(tcti, folder, "startup", "-c")
                assert_no_lockout()
        use()
        tpm.stop()


if __name__ == "__main__":
    unittest.main()
