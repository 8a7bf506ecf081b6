"""One RBD image that two hosts see, handed over between two vnvram-tpm --shared, confined as they are by default."""

import unittest

from harness.vnvram import vnvram
from tpm import test_shared_image as of_a_file
from tpm.support import TpmCase
from tpm.test_shared_image import fetch, take

from .ceph_case import OnCeph


class SharedRbdCase(OnCeph, of_a_file.SharedImageCase):
    def setUp(self):
        TpmCase.setUp(self)
        self.name = self.new_name()
        self.image = self.location(self.name)
        vnvram("create", self.image, *self.image_words)

    def location(self, *words):
        return super().location(*words) if words else self.image

    def has_open(self, _):
        """The cluster's word: whoever opens one watches it, the one that has its lock among them."""
        owners = 0 if self.owner_of(self.name) is None else 1
        return self.cluster.rbd("status", self.name).count("watcher=") > owners


class HandOver(SharedRbdCase, of_a_file.HandOver):
    pass


class Deaths(SharedRbdCase):
    def test_the_source_dies_behind_the_seal(self):
        """What it has let go needs no waiting for its lock."""
        source, count = self.start_source()
        target = self.start_target()
        blobs = fetch(source.control)
        self.assertIsNone(self.owner_of(self.name))
        source.tpm.kill()
        self.assertEqual(take(target.control, blobs), 0, target.log_text())
        self.must_go_on(target, count)

    def test_the_target_dies_before_it_has_opened_the_image(self):
        source, count = self.start_source()
        target = self.start_target()
        fetch(source.control)
        target.tpm.kill()
        self.assertEqual(source.control.lock_storage(), 0)
        self.must_go_on(source, count)


class Times(SharedRbdCase, of_a_file.Times):
    pass


if __name__ == "__main__":
    unittest.main()
