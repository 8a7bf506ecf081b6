"""What Ceph makes of an image: snapshots and clones of a live one, exports and imports."""

import subprocess
import threading
import unittest

from cli.command import Case, READ_ONLY
from harness.owner_process import OwnerProcess

from .ceph_case import OnCeph


class Writer:
    """Commits ever higher numbers through an owner, until it is to stop."""

    def __init__(self, case, owner):
        self._case = case
        self._owner = owner
        self._ends = threading.Event()
        self._answered = threading.Condition()
        self.acknowledged = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        case.addCleanup(self.stop)

    def _run(self):
        while not self._ends.is_set():
            number = self.acknowledged + 1
            self._case.vnvram("put", self._owner.address, "x", "-", input=str(number).encode())
            with self._answered:
                self.acknowledged = number
                self._answered.notify_all()

    def wait_for_more(self, count=1):
        with self._answered:
            goal = self.acknowledged + count
            self._answered.wait_for(lambda: self.acknowledged >= goal or not self._thread.is_alive())

    def stop(self):
        self._ends.set()
        self._thread.join()


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
        for number in range(5):
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
