"""Two owners that no lock keeps apart, and an owner whose image is not there any more: nothing that
was acknowledged is lost, nothing that someone else has written is overwritten, and it is said."""

import os
import re
import shutil
import signal
import subprocess
import time

import nbd

from harness.child import Deadline, PATIENCE_SECONDS

from .nbdkit_case import EEPROM, NbdkitCase, NVRAM


class Owners(NbdkitCase):
    def loop(self, *options):
        """A block device over the image."""
        done = subprocess.run(["losetup", "--find", "--show", *options, self.image], check=True,
                              capture_output=True, text=True)
        device = done.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", device], check=False,
                        stderr=subprocess.DEVNULL)
        return device

    def ways(self):
        """Pairs of names for one image, of which the kernel does not know that they are one."""
        yield self.loop(), self.image
        yield self.loop("--direct-io=on"), self.image
        yield self.loop(), self.loop()
        yield self.loop("--direct-io=on"), self.loop("--direct-io=on")
        yield self.image, self.loop()

    def write(self, server, value):
        with_eeprom = nbd.NBD()
        with_eeprom.connect_uri(server.uri("eeprom"))
        try:
            with_eeprom.pwrite(bytes([value]) * EEPROM, 0, nbd.CMD_FLAG_FUA)
        finally:
            with_eeprom.shutdown()

    def write_fails(self, server, value):
        with self.assertRaises(nbd.Error):
            self.write(server, value)

    def put(self, image, value, status=0):
        content = bytes([value]) * NVRAM
        self.vnvram("put", image, "nvram", "-", input=content, status=status)
        return content

    def log_says(self, server, words):
        self.assertIn(words, server.log.read_text(errors="replace"))

    def test_who_was_overtaken_has_nothing_acknowledged(self):
        for first, second in self.ways():
            for end in (signal.SIGKILL, signal.SIGTERM):
                with self.subTest(first=first, second=second, end=end):
                    server = self.serve(image=first)
                    self.write(server, 1)
                    self.write(server, 2)
                    content = self.put(second, 3)
                    self.write_fails(server, 4)
                    self.log_says(server, "another owner has opened it since")
                    self.put(second, 5)
                    content = self.put(second, 6)
                    server.child.send(end)
                    server.child.wait()
                    self.must_be_clean(second)
                    self.assertEqual(self.stored("nvram", second), content)
                    self.assertEqual(self.stored("eeprom", second), bytes([2]) * EEPROM)
                    self.assertEqual(self.stored("nvram"), content)

    def test_an_owner_that_was_stopped_and_goes_on_overwrites_nothing(self):
        for first, second in self.ways():
            with self.subTest(first=first, second=second):
                server = self.serve(image=first)
                self.write(server, 1)
                server.child.send(signal.SIGSTOP)
                other = self.serve(image=second)
                # More than a ring: no place of it is left that nobody needs.
                ring = self.json("info", second)["ring_size_bytes"]
                client = self.connect(other, "nvram")
                for number in range(ring // NVRAM + 10):
                    content = bytes([number % 255 + 1]) * NVRAM
                    client.pwrite(content, 0, nbd.CMD_FLAG_FUA)
                server.child.send(signal.SIGCONT)
                self.write_fails(server, 2)
                for client in self.clients:
                    client.shutdown()
                self.clients.clear()
                other.kill()
                server.child.terminate()
                self.vnvram("check", second)
                self.assertEqual(self.stored("nvram", second), content)
                self.assertEqual(self.stored("eeprom", second), bytes([1]) * EEPROM)

    def test_content_that_was_put_in_its_place_is_left_as_it_is(self):
        older = shutil.copy(self.image, self.path("older"))
        another = self.path("another")
        size = os.path.getsize(self.image)
        self.vnvram("create", another, "--blob", f"eeprom:at24c:{EEPROM}", "--size", str(size))
        contents = {"an older copy": older, "another store's": another,
                    "zeros": self.file("zeros", bytes(size)),
                    "a file system": self.file_system(size)}
        for what, content in contents.items():
            for device in (self.image, self.loop()):
                for writes in (True, False):
                    with self.subTest(what=what, device=device, writes=writes):
                        shutil.copyfile(older, self.image)
                        server = self.serve(image=device)
                        self.write(server, 1)
                        self.run_program("dd", f"if={content}", f"of={device}", "conv=notrunc",
                                         "bs=1M", "status=none")
                        if writes:
                            self.write_fails(server, 2)
                            self.log_says(server, "the content was replaced")
                        server.child.terminate()
                        self.log_says(server, "the content was replaced")
                        self.run_program("cmp", content, device)

    def wait_for_log(self, server, words, seconds=PATIENCE_SECONDS):
        deadline = Deadline(seconds)
        while words not in server.log.read_text(errors="replace"):
            self.assertFalse(deadline.passed(), server.log.read_text(errors="replace"))
            time.sleep(0.005)

    def test_a_file_that_is_gone_is_said_at_once_and_takes_no_commit(self):
        for value, what, words in ((1, "removed", "was removed"),
                                   (2, "replaced", "another file was put in its place"),
                                   (3, "moved and replaced", "another file was put in its place")):
            with self.subTest(what=what):
                server = self.serve()
                self.write(server, value)
                kept = self.path("kept")
                if what == "removed":
                    self.image.unlink()
                elif what == "replaced":
                    os.link(self.image, kept)
                    os.rename(shutil.copy(self.image, self.path("copy")), self.image)
                else:
                    os.rename(self.image, kept)
                    shutil.copy(kept, self.image)
                self.wait_for_log(server, words)  # With nobody writing.
                self.write_fails(server, 9)
                if what == "removed":  # As the log says: what was acknowledged can be saved.
                    said = re.search(rf"copied from (/proc/{server.child.pid}/fd/\d+)",
                                     server.log.read_text(errors="replace"))
                    shutil.copyfile(said[1], kept)
                before = kept.read_bytes()
                server.child.terminate()
                self.assertEqual(kept.read_bytes(), before)
                self.assertEqual(self.stored("eeprom", kept), bytes([value]) * EEPROM)
                os.replace(kept, self.image)

    def test_a_file_that_was_moved_goes_on(self):
        server = self.serve()
        self.write(server, 1)
        moved = self.path("moved")
        os.rename(self.image, moved)
        self.wait_for_log(server, "was moved")
        self.write(server, 2)
        self.stop(server)
        self.must_be_clean(moved)
        self.assertEqual(self.stored("eeprom", moved), bytes([2]) * EEPROM)

    def file_system(self, size):
        path = self.file("ext4", bytes(size))
        self.run_program("mkfs.ext4", "-q", "-F", path)
        return path
