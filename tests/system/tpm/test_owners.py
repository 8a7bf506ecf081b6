"""A TPM whose image another one has taken, or whose file is not there any more."""

import json
import os
import shutil
import signal
import subprocess
import time
import unittest

from support import Deadline, TpmCase, create, program, vnvram

FAILURE = 0x101


class Owners(TpmCase):
    image_number = 0

    def make_image(self):
        """Another one each time."""
        self.image_number += 1
        return create(self.workspace.file(f"image{self.image_number}"), *self.image_options)

    def loop(self, image, *options):
        done = subprocess.run(["losetup", "--find", "--show", *options, image], check=True,
                              capture_output=True, text=True)
        device = done.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", device], check=False,
                        stderr=subprocess.DEVNULL)
        return device

    def start_with_counter(self, image):
        self.admin = self.workspace.file("admin")
        tpm = self.start(image, self.server, ["--admin", f"unix:{self.admin}"])
        client = self.client()
        client.define_counter()
        self.assertEqual(client.increment(), 0)
        return tpm, client

    def status(self):
        return json.loads(vnvram("tpm", "status", "--json", self.admin))

    def test_who_was_overtaken_fails(self):
        for options in ([], ["--direct-io=on"]):
            for end in (signal.SIGKILL, signal.SIGTERM):
                with self.subTest(options=options, end=end):
                    image = self.make_image()
                    tpm, client = self.start_with_counter(self.loop(image, *options))
                    vnvram("register", image, "--blob", "other:test:100")
                    self.assertEqual(client.increment(), FAILURE)
                    self.assertIn("another owner has opened it since", self.status()["image_error"])
                    before = image.read_bytes()
                    tpm.child.send(end)
                    self.assertNotEqual(tpm.child.wait(), 0)
                    self.assertEqual(image.read_bytes(), before)
                    vnvram("check", image)
                    self.assertIn("other", vnvram("ls", image))

    def test_content_that_was_replaced(self):
        image = self.make_image()
        older = shutil.copy(image, self.workspace.file("older"))
        for device in (image, self.loop(image)):
            for commits in (True, False):
                with self.subTest(device=device, commits=commits):
                    shutil.copyfile(older, image)
                    tpm, client = self.start_with_counter(device)
                    subprocess.run(["dd", f"if={older}", f"of={device}", "conv=notrunc", "bs=1M",
                                    "status=none"], check=True)
                    if commits:
                        self.assertEqual(client.increment(), FAILURE)
                        self.assertIn("the content was replaced", self.status()["image_error"])
                    self.assertNotEqual(tpm.child.terminate(), 0)
                    self.assertIn("the content was replaced",
                                  tpm.log.read_text(errors="replace"))
                    subprocess.run(["cmp", older, device], check=True)

    def test_a_file_that_is_gone_is_said_with_no_command_under_way(self):
        image = self.make_image()
        kept = self.workspace.file("kept")
        for removed in (True, False):
            with self.subTest(removed=removed):
                tpm, client = self.start_with_counter(image)
                os.link(image, kept)
                if removed:
                    image.unlink()
                    kept.unlink()
                    words = "was removed"
                else:
                    os.rename(shutil.copy(image, self.workspace.file("copy")), image)
                    words = "another file was put in its place"
                deadline = Deadline(60)
                while words not in tpm.log.read_text(errors="replace"):
                    self.assertFalse(deadline.passed(), tpm.log.read_text(errors="replace"))
                    time.sleep(0.005)
                self.assertIn(words, self.status()["image_error"])
                done = subprocess.run([program("vnvram"), "tpm", "status", self.admin], check=True,
                                      capture_output=True, text=True)
                self.assertIn("trouble:", done.stdout)
                self.assertEqual(client.increment(), FAILURE)
                self.assertNotEqual(tpm.child.terminate(), 0)
                if removed:
                    image = self.make_image()


if __name__ == "__main__":
    unittest.main()
