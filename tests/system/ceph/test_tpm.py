"""vnvram-tpm on an image in a Ceph cluster, confined as it is by default."""

import threading
import time
import unittest

from harness.long_test import long_test
from harness.vnvram import info, vnvram
from tpm.support import TpmCase

from .ceph_case import OnCeph

FAILURE = 0x101


class OnRbdTest(OnCeph, TpmCase):
    def setUp(self):
        super().setUp()
        self.name = self.new_name()
        self.image = self.location(self.name)
        vnvram("create", self.image, "--tpm2")

    @long_test
    def test_what_was_answered_is_there_after_a_crash(self):
        tpm = self.start_server(self.image)
        client = self.client()
        client.define_counter()
        for _ in range(50):
            client.must_increment()
        expected = client.counter()
        generation = info(self.image)["generation"]
        tpm.kill()
        # Its lock goes when the cluster has found out that it is dead.
        tpm = self.start_server(self.image)
        self.assertIn("waits for client.", tpm.log.read_text(errors="replace"))
        self.assertEqual(self.client().counter(), expected)
        self.assertGreaterEqual(info(self.image)["generation"], generation)
        tpm.stop()
        self.assertTrue(info(self.image)["clean"])
        vnvram("check", self.image)

    @long_test
    def test_an_osd_that_comes_back_is_waited_for(self):
        """All connections are made anew, by a process that may do little more than that."""
        tpm = self.start_server(self.image)
        client = self.client()
        client.define_counter()
        client.must_increment()
        first = client.counter()
        done = []

        def load():
            for _ in range(200):
                client.must_increment()
                done.append(True)

        thread = threading.Thread(target=load)
        thread.start()
        for dies in (self.cluster.kill_osd, self.cluster.restart_monitor, self.cluster.kill_osd):
            before = len(done)
            while len(done) < min(before + 10, 200) and thread.is_alive():
                time.sleep(0.01)  # Only to leave the processor to others.
            dies()
            if dies == self.cluster.kill_osd:
                self.cluster.restart_osd()
        thread.join()
        self.assertEqual(client.counter(), first + 200)
        tpm.stop()
        vnvram("check", self.image)

    def test_a_fenced_owner_fails_and_the_next_one_has_all_that_was_answered(self):
        old = self.start_server(self.image)
        client = self.client()
        client.define_counter()
        for _ in range(20):
            client.must_increment()
        expected = client.counter()
        self.shut_out(self.name)
        self.assertEqual(client.increment(), FAILURE)
        client.close()
        self.server = self.workspace.file("second")
        new = self.start_server(self.image)
        client = self.client()
        self.assertEqual(client.counter(), expected)
        client.must_increment()
        self.assertNotEqual(old.child.terminate(), 0)
        client.must_increment()
        self.assertEqual(client.counter(), expected + 2)
        new.stop()

    @long_test
    def test_reasons(self):
        nowhere = self.location("nowhere")
        status, text = self.refused("--ctrl", f"unix:{self.workspace.file('c')}", nowhere)
        self.assertEqual(status, 10, text)
        self.assertIn(nowhere, text)
        tpm = self.start(self.image)
        status, text = self.refused("--ctrl", f"unix:{self.workspace.file('c')}", self.image)
        self.assertEqual(status, 14, text)
        self.assertIn(f"in use by process {tpm.pid}", text)


if __name__ == "__main__":
    unittest.main()
