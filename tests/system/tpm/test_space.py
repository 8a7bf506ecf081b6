"""A TPM on a sparse copy of its image, on a disk that fills."""

import subprocess
import unittest

from support import TpmCase, vnvram

# pylint: disable=wrong-import-order
from harness.small_file_system import SmallFileSystem, holes_in

NO_SPACE = 20
INCREMENTS = 1200  # Each is a record of a block, and the ring has 496.


class Space(TpmCase):
    def sparse_copy(self):
        image = self.new_image()
        tpm = self.start_server(image)
        self.client().define_counter()
        self.client().must_increment()
        tpm.stop()
        self.file_system = SmallFileSystem(self.workspace, "ext4")
        copy = self.file_system.file("nvram.img")
        subprocess.run(["cp", "--sparse=always", image, copy], check=True)
        self.assertGreater(holes_in(copy), 1 << 20)
        return copy

    def test_goes_on_when_the_disk_is_full(self):
        copy = self.sparse_copy()
        tpm = self.start_server(copy)
        client = self.client()
        before = client.counter()
        self.file_system.fill()
        for _ in range(INCREMENTS):
            client.must_increment()
        self.assertEqual(client.counter(), before + INCREMENTS)
        tpm.stop()
        self.assertEqual(holes_in(copy), 0)
        vnvram("check", copy)

    def test_does_not_start_where_it_could_not_go_on(self):
        copy = self.sparse_copy()
        self.file_system.fill()
        before = copy.read_bytes()
        words = (copy, "--server", f"unix:{self.workspace.file('server')}", "--startup", "clear")
        status, message = self.refused(*words)
        self.assertEqual(status, NO_SPACE, message)
        self.assertIn("have no space on its file system", message)
        self.assertEqual(copy.read_bytes(), before)
        self.file_system.make_room()
        tpm = self.start_server(copy)  # By itself.
        self.client().must_increment()
        tpm.stop()

    def test_what_happens_to_who_does_not_look(self):
        """The TPM is in failure mode after the first commit that finds no room; a start with room
        goes on from the last answer."""
        copy = self.sparse_copy()
        tpm = self.start_server(copy, options=("--space", "ignore"))
        client = self.client()
        last = client.counter()
        self.file_system.fill()
        for _ in range(INCREMENTS):
            if client.increment() != 0:
                break
            last += 1
        else:
            self.fail("the disk was never full")
        tpm.kill()
        self.file_system.make_room()
        tpm = self.start_server(copy)
        self.assertIn(self.client().counter(), (last, last + 1))
        self.client().must_increment()
        tpm.stop()
        vnvram("check", copy)

    def test_the_policy_is_of_every_image(self):
        """Also of one that is attached later."""
        copy = self.sparse_copy()
        admin = self.workspace.file("admin")
        for policy, has_holes in (("ignore", True), ("reserve", False)):
            tpm = self.start(self.workspace.file("elsewhere.img"), options=(
                "--detached", "--admin", f"unix:{admin}", "--seccomp", "off", "--space", policy))
            vnvram("tpm", "attach", admin, copy)
            tpm.stop()
            self.assertEqual(holes_in(copy) > 0, has_holes, policy)


if __name__ == "__main__":
    unittest.main()
