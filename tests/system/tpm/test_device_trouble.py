"""A device that fails, and one that hangs, below a running TPM. Real ones."""

import os
import resource
import struct
import subprocess
import time
import unittest

from support import (Deadline, ESTABLISHED, LOCALITY, LOCK_STORAGE, STOP, TpmCase, TpmClient,
                     create, is_silent, vnvram)

FAILURE = 0x101


class FailingDevice(TpmCase):

    def test_a_checkpoint_that_fails_is_logged_when_it_happens(self):
        """It comes when nothing was committed for a second, and nobody has asked for it: the limit
        has to be there before it, so this is tried again on a machine that is held up."""
        tpm = self.start_server(self.new_image())
        client = self.client()
        client.define_counter()
        deadline = Deadline(60)
        while not self.told_of_a_checkpoint(tpm):
            self.assertFalse(deadline.passed(), "it logs nothing")
            resource.prlimit(tpm.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            if client.increment() == FAILURE:
                continue  # That was the last one's; the log is on its way.
            resource.prlimit(tpm.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
            soon = Deadline(3)
            while not (soon.passed() or self.told_of_a_checkpoint(tpm)):
                time.sleep(0.005)
        self.assertEqual(client.increment(), FAILURE)
        self.assertNotEqual(tpm.child.terminate(), 0)

    @staticmethod
    def told_of_a_checkpoint(tpm):
        """Of its own, and not as the reason why a later command fails."""
        return any("a checkpoint failed" in line and "failure mode" not in line
                   for line in tpm.log.read_text(errors="replace").splitlines())

    def test_failure_mode(self):
        image = self.new_image()
        tpm = self.start_server(image)
        client = self.client()
        client.define_counter()
        self.assertEqual(client.increment(), 0)
        control = self.control(tpm)
        command = control.take_control()
        self.addCleanup(command.close)
        # From now on the kernel refuses its writes. (What is above the limit may not be written.)
        resource.prlimit(tpm.pid, resource.RLIMIT_FSIZE, (4096, 4096))
        self.assertEqual(client.read_clock(), 0)  # Needs no device.
        self.assertEqual(client.increment(), FAILURE)
        # For good, for every client and every command, also when the device is well again.
        self.assertEqual(client.read_clock(), FAILURE)
        self.assertEqual(command.read_clock(), FAILURE)
        self.assertIn("failure mode", tpm.log.read_text(errors="replace"))
        # A machine survives it: what its control commands ask for succeeds, over a reset too.
        self.assertEqual(control.ask(ESTABLISHED, b"", 8)[0], 0)
        self.assertEqual(control.result(LOCALITY, b"\1"), 0)
        result, _, state = control.get_blob(1)
        self.assertEqual((result, len(state) > 1000), (0, True))
        for _ in range(2):
            self.assertEqual(control.result(STOP), 0)
            self.assertEqual(control.init(), 0)
            self.assertEqual(control.ask(ESTABLISHED, b"", 8)[0], 0)
            self.assertEqual(command.startup(), FAILURE)
        self.assertNotEqual(tpm.child.terminate(), 0)
        vnvram("check", image)
        tpm = self.start_server(image)
        self.assertIn(self.client().counter(), (1, 2))
        tpm.stop()


@unittest.skipUnless(os.geteuid() == 0, "mounts a file system")
class HangingDevice(TpmCase):

    def mount(self):
        disk, folder = self.workspace.file("disk"), self.workspace.file("mounted")
        folder.mkdir()
        with open(disk, "wb") as file:
            file.truncate(24 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", disk], check=True)
        subprocess.run(["mount", "-o", "loop", disk, folder], check=True)
        self.addCleanup(subprocess.run, ["umount", folder], check=True)
        self.addCleanup(self._end_children)
        return folder

    def test_control_commands_do_not_wait_for_it(self):
        folder = self.mount()
        tpm = self.start_server(create(folder / "nvram.img", "--tpm2"))
        client = self.client()
        client.define_counter()
        self.assertEqual(client.increment(), 0)
        control = self.control(tpm)
        before = control.get_blob(1)[2]
        subprocess.run(["fsfreeze", "-f", folder], check=True)
        self.addCleanup(subprocess.run, ["fsfreeze", "-u", folder], check=False,
                        stderr=subprocess.DEVNULL)
        client.send_increment()
        deadline = Deadline(60)
        while control.get_blob(1)[2] == before:  # The TPM has done its part, the disk has not.
            self.assertFalse(deadline.passed())
        command = control.take_control()
        self.addCleanup(command.close)
        for _ in range(3):
            self.assertEqual(control.result(STOP), 0)
            self.assertEqual(control.set_blob(1, before), 0)
            self.assertEqual(control.init(1), 0)
            self.assertEqual(control.ask(ESTABLISHED, b"", 8)[0], 0)
            self.assertEqual(control.result(LOCK_STORAGE, struct.pack(">I", 0)), 0)
            self.assertEqual(control.get_blob(2)[0], 0)
        command.send(0x144, b"\0\0")
        self.assertTrue(is_silent(client.sock), "answered before it was durable")
        self.assertTrue(is_silent(command.sock), "answered before what was queued was durable")
        subprocess.run(["fsfreeze", "-u", folder], check=True)
        self.assertEqual(client.response()[0], 0)
        self.assertEqual(command.response()[0], 0)
        self.assertEqual(command.counter(), 1)  # What was set back.
        tpm.kill()
        self.start_server(folder / "nvram.img")
        again = TpmClient(self.server)
        self.addCleanup(again.close)
        self.assertEqual(again.counter(), 1)


if __name__ == "__main__":
    unittest.main()
