"""Starts that must be refused: each with its own exit code and a reason, and never a fresh TPM."""

import socket
import subprocess
import unittest

from support import TpmCase, program, vnvram

ABSENT, BLANK, FOREIGN, CORRUPT, IN_USE = 10, 11, 12, 13, 14
USAGE, NOT_FOUND, EXISTS = 2, 25, 26


class Refusals(TpmCase):

    def refused_image(self, image, *options):
        return self.refused(image, "--ctrl", f"unix:{self.workspace.file('ctrl')}", *options)

    def test_command_line(self):
        image = self.new_image()
        for words in ((), (image,), (image, "--ctrl", "tcp:1"), (image, "--ctrl", "/no/prefix"),
                      (image, "--server", "tcp:example.org:1"), (image, "--server", "tcp:65535"),
                      (image, "--ctrl", "unix:x", "--startup", "maybe"),
                      (image, "--ctrl", "unix:x", "--mode", "99"),
                      (image, "--ctrl", "unix:x", "--tpm2", "--tpm12"),
                      (image, "--ctrl", "unix:x", "--group", "no-such-group"),
                      (image, "--ctrl", f"unix:{self.workspace.file('x')}",
                       "--user", "no-such-user")):
            status, _ = self.refused(*words)
            self.assertEqual(status, USAGE, words)

    def test_images_that_have_no_tpm(self):
        path = self.workspace.file("nvram.img")
        self.assertEqual(self.refused_image(path)[0], ABSENT)
        path.write_bytes(bytes(4 << 20))
        self.assertEqual(self.refused_image(path)[0], BLANK)
        path.write_bytes(b"someone else's data " * 100000)
        before = path.read_bytes()
        self.assertEqual(self.refused_image(path)[0], FOREIGN)
        self.assertEqual(path.read_bytes(), before)
        path.unlink()
        vnvram("create", path, "--blob", "other:type:4096")
        status, message = self.refused_image(path)
        self.assertEqual(status, NOT_FOUND)
        self.assertIn("vnvram register", message)
        vnvram("register", path, "--tpm2")
        self.start(path).stop()

    def test_both_tpms_in_one_image(self):
        image = self.new_image("--tpm2", "--tpm12")
        status, message = self.refused_image(image)
        self.assertEqual(status, USAGE)
        self.assertIn("--tpm12", message)
        self.start(image, options=["--tpm12"]).stop()
        self.start(image, options=["--tpm2"]).stop()

    def test_damaged_permanent_state(self):
        image = self.new_image()
        tpm = self.start_server(image)
        self.client().define_counter()
        tpm.stop()
        state = self.workspace.file("state")
        vnvram("get", image, "tpm2.permanent", "--output", state)
        content, needle = bytearray(image.read_bytes()), state.read_bytes()[:512]
        places = [at for at in range(0, len(content), 512) if content.startswith(needle, at)]
        self.assertTrue(places, "where on the image is the state?")
        for place in places:
            content[place + 100] ^= 0x10
        image.write_bytes(content)
        status, message = self.refused_image(image)
        self.assertEqual(status, CORRUPT)
        self.assertIn("tpm2.permanent", message)

    def test_state_that_libtpms_refuses(self):
        image = self.new_image()
        self.start(image).stop()
        state = self.workspace.file("state")
        state.write_bytes(b"\x5a" * 1500)
        vnvram("put", "--force", image, "tpm2.permanent", state)
        status, message = self.refused_image(image)
        self.assertEqual(status, CORRUPT)
        self.assertIn("libtpms refuses", message)
        vnvram("get", image, "tpm2.permanent", "--output", self.workspace.file("after"))
        self.assertEqual(self.workspace.file("after").read_bytes(), state.read_bytes())

    def test_emptied_state_is_not_a_new_tpm(self):
        image = self.new_image()
        self.start(image).stop()
        empty = self.workspace.file("empty")
        empty.touch()
        vnvram("put", "--force", image, "tpm2.permanent", empty)
        status, message = self.refused_image(image)
        self.assertEqual(status, CORRUPT)
        self.assertIn("backup", message)

    def test_two_on_one_image(self):
        image = self.new_image()
        tpm = self.start(image)
        status, message = self.refused_image(image)
        self.assertEqual(status, IN_USE)
        self.assertIn(str(image), message)
        tpm.stop()
        self.start(image).stop()

    def test_sockets_that_are_taken(self):
        image = self.new_image()
        path = self.workspace.file("ctrl")
        path.write_text("a file", "ascii")
        self.assertEqual(self.refused_image(image)[0], EXISTS)
        self.assertEqual(path.read_text("ascii"), "a file")
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            self.assertEqual(self.refused_image(image)[0], IN_USE)
            self.assertTrue(path.is_socket())

    def test_help_and_version(self):
        for option in ("--help", "--version"):
            done = subprocess.run([program("vnvram-tpm"), option], capture_output=True, text=True,
                                  timeout=60, check=True)
            self.assertIn("vnvram", done.stdout)


if __name__ == "__main__":
    unittest.main()
