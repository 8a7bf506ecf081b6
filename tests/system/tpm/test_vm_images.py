"""vnvram-tpm on VM images, which it serves itself by a qemu-nbd of its own."""

import os
import pathlib
import random
import signal
import subprocess
import time
import unittest

from support import Child, Deadline, STOP, TpmCase, program, vnvram

from harness.vm_image import FORMATS, programs_of, qemu_img, space_of, wait_until_let_go
from harness.vnvram import info

FAILURE = 0x101
IN_USE, KEY_NEEDED, WRONG_KEY = 14, 15, 16


class VmImages(TpmCase):
    def tearDown(self):
        self._end_children()
        wait_until_let_go(self.workspace.path)
        super().tearDown()

    def new_vm_image(self, name, *options):
        image = self.workspace.file(name)
        vnvram("create", image, "--tpm2", *options)
        return image

    def server_of(self, tpm, image):
        pids = [pid for pid in programs_of(image) if pid != tpm.pid
                and pathlib.Path(os.readlink(f"/proc/{pid}/exe")).name == "qemu-nbd"]
        self.assertEqual(len(pids), 1)
        return pids[0]

    def test_serves_crashes_and_ends_in_every_format(self):
        for name in FORMATS:
            with self.subTest(format=name):
                image = self.new_vm_image(f"vm.{name}")
                before = space_of(image)
                tpm = self.start_server(image)
                client = self.client()
                client.define_counter()
                for _ in range(2):
                    for _ in range(100):
                        self.assertEqual(client.increment(), 0)
                    expected = client.counter()
                    tpm.kill()
                    wait_until_let_go(image)
                    tpm = self.start_server(image)
                    client = self.client()
                    self.assertEqual(client.counter(), expected)
                control = self.control(tpm)
                self.assertEqual(control.result(STOP), 0)
                self.assertEqual(control.init(), 0)
                tpm.stop()
                wait_until_let_go(image)
                self.assertEqual(space_of(image), before)
                self.assertTrue(info(image)["clean"])
                vnvram("check", image)
                if name != "vdi":
                    qemu_img("check", image)

    def test_signals_to_all_its_processes_mean_the_tpm(self):
        """systemd and terminals send them to the whole group; the image must still be closed."""
        image = self.new_vm_image("vm.qcow2")
        for number in (signal.SIGTERM, signal.SIGINT):
            tpm = self.start_server(image)
            client = self.client()
            self.assertEqual(client.read_clock(), 0)
            os.kill(self.server_of(tpm, image), number)
            os.kill(self.server_of(tpm, image), signal.SIGHUP)
            client.sock.close()
            tpm.child.send(number)
            self.assertEqual(tpm.child.wait(), 0)
            wait_until_let_go(image)
            self.assertTrue(info(image)["clean"])

    def test_stopped_and_continued(self):
        """As for a copy of the image. The sandbox must let every call that goes on go on."""
        image = self.new_vm_image("vm.qcow2")
        tpm = self.start_server(image)
        client = self.client()
        client.define_counter()
        for count in range(1, 20):
            tpm.child.send(signal.SIGSTOP)
            tpm.child.send(signal.SIGCONT)
            self.assertEqual(client.increment(), 0)
            self.assertEqual(client.counter(), count)
        tpm.stop()

    def test_a_server_that_dies_is_a_failed_tpm_and_no_lost_counter(self):
        image = self.new_vm_image("vm.qcow2")
        tpm = self.start_server(image)
        client = self.client()
        client.define_counter()
        for _ in range(20):
            self.assertEqual(client.increment(), 0)
        acknowledged = client.counter()
        os.kill(self.server_of(tpm, image), signal.SIGKILL)
        self.assertEqual(client.increment(), FAILURE)
        self.assertEqual(client.read_clock(), FAILURE)
        self.assertNotEqual(tpm.child.terminate(), 0)
        wait_until_let_go(image)
        tpm = self.start_server(image)
        self.assertIn(self.client().counter(), (acknowledged, acknowledged + 1))
        tpm.stop()

    @unittest.skipUnless(os.geteuid() == 0, "becomes another user")
    def test_other_user(self):
        image = self.new_vm_image("vm.qcow2")
        tpm = self.start_server(image, ["--user", "nobody"])
        client = self.client()
        client.define_counter()
        self.assertEqual(client.increment(), 0)
        tpm.stop()
        wait_until_let_go(image)
        tpm = self.start_server(image, ["--user", "nobody"])
        self.assertEqual(self.client().counter(), 1)
        tpm.kill()
        wait_until_let_go(image)

    def test_snapshot_while_it_is_off(self):
        image = self.new_vm_image("vm.qcow2")
        tpm = self.start_server(image)
        client = self.client()
        client.define_counter()
        for _ in range(5):
            self.assertEqual(client.increment(), 0)
        tpm.stop()
        wait_until_let_go(image)
        qemu_img("snapshot", "-c", "before", image)
        tpm = self.start_server(image)
        client = self.client()
        for _ in range(5):
            self.assertEqual(client.increment(), 0)
        self.assertEqual(client.counter(), 10)
        # While it is on, the image is its own.
        done = subprocess.run(["qemu-img", "snapshot", "-a", "before", image], check=False,
                              capture_output=True, text=True)
        self.assertIn("lock", done.stderr)
        tpm.stop()
        wait_until_let_go(image)
        qemu_img("snapshot", "-a", "before", image)
        tpm = self.start_server(image)
        self.assertEqual(self.client().counter(), 5)
        tpm.stop()

    def test_refusals(self):
        image = self.new_vm_image("vm.qcow2")
        words = ("--ctrl", f"unix:{self.workspace.file('c')}")
        tpm = self.start(image)
        status, text = self.refused(*words, image)
        self.assertEqual(status, IN_USE, text)
        self.assertIn(str(image), text)
        tpm.stop()
        keys = [self.workspace.file(name) for name in ("key", "other")]
        for key in keys:
            key.write_text(os.urandom(16).hex())
        secret = self.new_vm_image("secret.qcow2", "--image-key", keys[0])
        self.assertEqual(self.refused(*words, secret)[0], KEY_NEEDED)
        self.assertEqual(self.refused(*words, secret, "--image-key", keys[1])[0], WRONG_KEY)
        tpm = self.start_server(secret, ["--image-key", keys[0]])
        self.client().define_counter()
        tpm.stop()


class NothingIsLeftBehind(TpmCase):
    def test_killed_at_any_moment_of_its_start(self):
        image = self.workspace.file("vm.qcow2")
        vnvram("create", image, "--tpm2")
        chance = random.Random(8)
        count, longest = 200, 0.08
        log = self.workspace.log("killed")
        for number in range(count):
            tpm = Child([program("vnvram-tpm"), image, "--ctrl",
                         f"unix:{self.workspace.file('ctrl')}"], log)
            deadline = Deadline((number + chance.random()) / count * longest)
            while not deadline.passed():
                time.sleep(0.0002)
            tpm.kill()
            wait_until_let_go(image)
        vnvram("check", image)
        qemu_img("check", image)


if __name__ == "__main__":
    unittest.main()
