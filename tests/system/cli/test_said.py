"""What commands say beside doing it, or not: in the words of who asked, and only where there is something to say."""

import unittest

from harness.owner_process import OwnerProcess

from .command import Case


class UnsealTest(Case):
    def said(self, where):
        done = self.run_vnvram("unseal", where)
        self.assertEqual((done.returncode, done.stdout), (0, b""), done.stderr)
        return done.stderr.decode()

    def test_that_there_was_no_seal(self):
        self.create("--blob", "x:test:100")
        self.assertEqual(self.said(self.image), f"vnvram: note: {self.image}: it was not sealed\n")
        self.vnvram("seal", self.image)
        self.assertEqual(self.said(self.image), "")
        self.assertFalse(self.json("info", self.image)["sealed"])

    def test_that_there_was_none_on_an_image_that_is_served(self):
        self.create("--blob", "x:test:100")
        self.vnvram("seal", self.image)
        owner = OwnerProcess(self.workspace, self.image, "--incoming")
        self.addCleanup(owner.kill)
        self.assertEqual(self.said(owner.address), "")
        self.assertEqual(self.said(owner.address), f"vnvram: note: {owner.address}: it was not sealed\n")


if __name__ == "__main__":
    unittest.main()
