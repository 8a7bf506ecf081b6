"""What Ceph makes of an image: snapshots and clones of a live one, exports and imports."""

import os
import subprocess
import threading
import unittest

from cli.command import EXISTS, MIB, READ_ONLY, Case
from harness.child import PATIENCE_SECONDS
from harness.long_test import long_test
from harness.owner_process import OwnerProcess

from .ceph_case import OnCeph


class Writer:
    """Commits ever higher numbers through an owner, until it is to stop."""

    def __init__(self, case, owner):
        self._case = case
        self._owner = owner
        self._ends = threading.Event()
        self._changed = threading.Condition()
        self._has_ended = False
        self._failure = None
        self.acknowledged = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        case.addCleanup(self._end)

    def _run(self):
        try:
            while not self._ends.is_set():
                number = self.acknowledged + 1
                self._case.vnvram("put", self._owner.address, "x", "-", input=str(number).encode())
                with self._changed:
                    self.acknowledged = number
                    self._changed.notify_all()
        except BaseException as failure:  # It is the test's, in stop().
            self._failure = failure
        finally:
            with self._changed:
                self._has_ended = True
                self._changed.notify_all()

    def wait_for_more(self, count=1):
        with self._changed:
            goal = self.acknowledged + count
            came = self._changed.wait_for(lambda: self.acknowledged >= goal or self._has_ended, PATIENCE_SECONDS)
        if self._has_ended:
            self.stop()
        if not came:
            raise TimeoutError(f"{self.acknowledged} of {goal} after {PATIENCE_SECONDS} s")

    def stop(self):
        self._end()
        if self._failure is not None:
            raise self._failure

    def _end(self):
        self._ends.set()
        self._thread.join()

SNAPSHOTS = 5 if os.environ.get("VNVRAM_LONG_TESTS") else 1


class CopiesTest(OnCeph, Case):
    def setUp(self):
        super().setUp()
        self.name = self.new_name()
        self.image = self.location(self.name)

    def start_owner(self):
        owner = OwnerProcess(self.workspace, self.image)
        self.addCleanup(owner.kill)
        return owner

    def test_snapshots_and_clones_of_a_live_image(self):
        self.vnvram("create", self.image, "--blob", "x:t:8K")
        owner = self.start_owner()
        writer = Writer(self, owner)
        writer.wait_for_more()
        for number in range(SNAPSHOTS):
            writer.wait_for_more(2)
            then = f"{self.name}@s{number}"
            before = writer.acknowledged
            self.cluster.rbd("snap", "create", then)
            after = writer.acknowledged + 1  # And the one that is under way.
            self.assertLessEqual(before, int(self.vnvram("get", self.location(then), "x")))
            self.assertLessEqual(int(self.vnvram("get", self.location(then), "x")), after)
            self.vnvram("check", self.location(then))
            self.vnvram("put", self.location(then), "x", "-", input=b"no", status=READ_ONLY)
            self.cluster.rbd("snap", "protect", then)
            clone = f"{self.name}-clone{number}"
            self.cluster.rbd("clone", then, clone)
            there = self.vnvram("get", self.location(clone), "x")
            self.assertLessEqual(before, int(there))
            self.vnvram("put", self.location(clone), "x", "-", input=b"mine")
            self.vnvram("check", self.location(clone))
            self.assertEqual(self.vnvram("get", self.location(then), "x"), there)
        writer.stop()
        self.assertEqual(int(self.vnvram("get", owner.address, "x")), writer.acknowledged)
        owner.stop()
        self.vnvram("check", self.image)

    def must_be_the_same(self, copy, image):
        for member in ("uuid", "generation", "image_size_bytes", "blob_count"):
            self.assertEqual(self.json("info", copy)[member], self.json("info", image)[member], member)
        self.assertEqual(self.json("ls", copy), self.json("ls", image))
        for blob in self.json("ls", image)["blobs"]:
            self.assertEqual(self.vnvram("get", copy, blob["name"]), self.vnvram("get", image, blob["name"]))
        self.vnvram("check", copy)

    def test_vnvram_copy_makes_the_same_image_here(self):
        file = self.path("vm.nvram")
        self.vnvram("create", file, "--tpm2", "--blob", f"x:t:64K={self.file('content', os.urandom(50000))}")
        self.vnvram("put", file, "tpm2.permanent", "-", "--force", input=b"state")
        # It is made,
        self.vnvram("copy", file, self.image)
        self.assertIn("exclusive-lock", self.cluster.rbd("info", self.name))
        self.must_be_the_same(self.image, file)
        # and one that is there is taken if it is blank, and grown.
        there = self.new_name()
        self.cluster.rbd("create", there, "--size", "1M")
        self.vnvram("copy", file, self.location(there))
        self.must_be_the_same(self.location(there), file)
        # What it holds is written over only on demand.
        self.vnvram("put", file, "x", "-", input=b"newer")
        self.vnvram("copy", file, self.location(there), status=EXISTS)
        self.vnvram("copy", file, self.location(there), "--force")
        self.must_be_the_same(self.location(there), file)
        self.assertEqual([name for name in self.cluster.rbd("ls").split() if ".new-" in name], [])

    @long_test
    def test_vnvram_copy_from_here(self):
        self.vnvram("create", self.image, "--tpm2", "--size", 8 * MIB,
                    "--blob", f"x:t:64K={self.file('content', os.urandom(50000))}")
        file, other = self.path("copy.nvram"), self.location(self.new_name())
        self.vnvram("copy", self.image, file)
        self.must_be_the_same(file, self.image)
        owner = self.start_owner()
        self.vnvram("copy", owner.address, other)
        owner.stop()
        for blob in self.json("ls", self.image)["blobs"]:
            self.assertEqual(self.vnvram("get", other, blob["name"]), self.vnvram("get", self.image, blob["name"]))
        self.vnvram("check", other)

    @long_test
    def test_an_export_is_the_image_byte_for_byte(self):
        content = bytes(range(256)) * 30
        self.vnvram("create", self.image, "--tpm2", "--blob", f"x:t:8K={self.file('content', content)}")
        raw, qcow2 = self.path("raw.nvram"), self.path("vm.qcow2")
        self.cluster.rbd("export", self.name, raw)
        self.assertEqual(self.vnvram("get", raw, "x"), content)
        self.vnvram("check", raw)
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2], check=True,
                       timeout=120)
        self.assertEqual(self.vnvram("get", qcow2, "x"), content)
        self.vnvram("put", qcow2, "x", "-", input=b"changed in qcow2")
        # And back, by way of a pipe, as an operator does it.
        back = self.path("back.nvram")
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", qcow2, back], check=True,
                       timeout=120)
        imported = self.new_name()
        self.cluster.rbd("import", back, imported)
        self.assertEqual(self.vnvram("get", self.location(imported), "x"), b"changed in qcow2")
        again = self.path("again.nvram")
        self.cluster.rbd("export", imported, again)
        self.assertEqual(again.read_bytes(), back.read_bytes())
        # With what either of them has written.
        self.vnvram("put", self.location(imported), "x", "-", input=b"changed on RBD")
        self.cluster.rbd("export", imported, self.path("last.nvram"))
        self.assertEqual(self.vnvram("get", self.path("last.nvram"), "x"), b"changed on RBD")
        self.vnvram("check", self.location(imported))


if __name__ == "__main__":
    unittest.main()
