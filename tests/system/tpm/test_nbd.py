"""vnvram-tpm on NBD exports that other programs serve. (QEMU's own server is with the guests.)"""

import unittest

from support import STOP, TpmCase, vnvram

from harness.nbd_server import SERVERS, NbdServer
from harness.vnvram import info

FAILURE = 0x101


class OnNbd(TpmCase):

    def each_server(self):
        """Each kind, with a TPM's image on a fresh disk."""
        for kind in SERVERS:
            with self.subTest(server=kind):
                disk = self.workspace.file(f"{kind}.disk")
                disk.write_bytes(bytes(8 << 20))
                server = NbdServer(self.workspace, kind, disk)
                self.children.append(server)
                vnvram("create", server.uri, "--tpm2")
                yield server
                server.kill()
                vnvram("check", disk)

    def test_what_was_answered_is_there_after_a_crash(self):
        for nbd in self.each_server():
            tpm = self.start_server(nbd.uri)
            client = self.client()
            client.define_counter()
            for count in range(1, 4):
                for _ in range(100):
                    self.assertEqual(client.increment(), 0)
                expected = client.counter()
                generation = info(nbd.uri)["generation"]
                tpm.kill()
                tpm = self.start_server(nbd.uri)
                client = self.client()
                self.assertEqual(client.counter(), expected, f"round {count}")
                self.assertGreaterEqual(info(nbd.uri)["generation"], generation)
            control = self.control(tpm)
            self.assertEqual(control.result(STOP), 0)
            self.assertEqual(control.init(), 0)
            tpm.stop()
            self.assertTrue(info(nbd.uri)["clean"])

    def test_a_server_that_dies_is_a_failed_tpm_and_no_lost_counter(self):
        for nbd in self.each_server():
            tpm = self.start_server(nbd.uri)
            client = self.client()
            client.define_counter()
            for _ in range(20):
                self.assertEqual(client.increment(), 0)
            acknowledged = client.counter()
            nbd.kill()
            self.assertEqual(client.increment(), FAILURE)
            nbd.start()
            # It does not come back by itself: nobody knows what the dead server has done last.
            self.assertEqual(client.increment(), FAILURE)
            self.assertNotEqual(tpm.child.terminate(), 0)
            tpm = self.start_server(nbd.uri)
            self.assertIn(self.client().counter(), (acknowledged, acknowledged + 1))
            tpm.stop()

    def test_the_server_is_told_when_it_ends(self):
        for nbd in self.each_server():
            before = info(nbd.uri)
            tpm = self.start(nbd.uri)
            self.assertFalse(info(nbd.uri)["clean"])  # Beside it: NBD has no locks.
            self.assertEqual(info(nbd.uri)["epoch"], before["epoch"] + 1)
            tpm.stop()
            self.assertTrue(info(nbd.uri)["clean"])


class Refusals(TpmCase):

    def test_reasons(self):
        nowhere = f"nbd+unix:///?socket={self.workspace.file('nowhere')}"
        status, text = self.refused("--ctrl", f"unix:{self.workspace.file('c')}", nowhere)
        self.assertEqual(status, 10, text)
        self.assertIn(nowhere, text)


if __name__ == "__main__":
    unittest.main()
