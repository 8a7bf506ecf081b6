"""Every verb of swtpm's own control client, against a running vnvram-tpm."""

import unittest

from support import TpmCase, swtpm_ioctl


class SwtpmIoctl(TpmCase):

    def test_every_verb(self):
        tpm = self.start(self.new_image())
        self.assertIn("0x1ffff", swtpm_ioctl(tpm, "-c"))
        swtpm_ioctl(tpm, "-e", status=1)  # It does not run yet.
        swtpm_ioctl(tpm, "-v", status=1)
        self.assertIn("buffersize: 3000", swtpm_ioctl(tpm, "-b", "3000"))
        swtpm_ioctl(tpm, "-i")
        self.assertIn("tpmEstablished is 0", swtpm_ioctl(tpm, "-e"))
        self.assertIn("0xa", swtpm_ioctl(tpm, "-b", "3500", status=1))
        self.assertIn("buffersize: 3000", swtpm_ioctl(tpm, "-b", "0"))
        swtpm_ioctl(tpm, "-l", "3")
        swtpm_ioctl(tpm, "-l", "5", status=1)
        # A measured launch sets the bit; only locality 3 or 4 may take it back.
        swtpm_ioctl(tpm, "-l", "0")
        swtpm_ioctl(tpm, "-h", "measured")
        self.assertIn("tpmEstablished is 1", swtpm_ioctl(tpm, "-e"))
        swtpm_ioctl(tpm, "-r", "0", status=1)
        swtpm_ioctl(tpm, "-r", "3")
        self.assertIn("tpmEstablished is 0", swtpm_ioctl(tpm, "-e"))
        swtpm_ioctl(tpm, "-C")
        self.assertIn("0x0", swtpm_ioctl(tpm, "-g"))
        info = swtpm_ioctl(tpm, "--info", "7")
        for word in ('"family":"2.0"', "TPMAttributes", "TPMFeatures"):
            self.assertIn(word, info)
        self.assertNotIn("TPMAttributes", swtpm_ioctl(tpm, "--info", "1"))
        swtpm_ioctl(tpm, "-v")
        swtpm_ioctl(tpm, "--stop")
        swtpm_ioctl(tpm, "--stop")
        swtpm_ioctl(tpm, "-e", status=1)
        swtpm_ioctl(tpm, "-i")
        swtpm_ioctl(tpm, "-s")
        # It outlives its client's goodbye.
        swtpm_ioctl(tpm, "-c")
        swtpm_ioctl(tpm, "-i")
        tpm.stop()

    def test_state_moves_to_another_image(self):
        tpm = self.start_server(self.new_image())
        client = self.client()
        client.define_counter()
        for _ in range(5):
            self.assertEqual(client.increment(), 0)
        client.close()
        files = {kind: self.workspace.file(kind) for kind in ("permanent", "volatile", "savestate")}
        for kind, path in files.items():
            swtpm_ioctl(tpm, "--save", kind, path)
        self.assertGreater(files["permanent"].stat().st_size, 1000)
        self.assertGreater(files["volatile"].stat().st_size, 1000)
        # While it runs nothing is replaced below it.
        swtpm_ioctl(tpm, "--load", "permanent", files["permanent"], status=1)
        tpm.stop()

        self.workspace.file("nvram.img").unlink()
        tpm = self.start_server(self.new_image())
        swtpm_ioctl(tpm, "--stop")
        swtpm_ioctl(tpm, "--load", "permanent", files["permanent"])
        swtpm_ioctl(tpm, "--load", "volatile", files["volatile"])
        swtpm_ioctl(tpm, "-i")
        client = self.client()
        # Resumed, not started: the counter is there and no startup is needed.
        self.assertEqual(client.counter(), 5)
        self.assertEqual(client.increment(), 0)
        self.assertIn("a restored TPM state has replaced that of generation",
                      tpm.log.read_text(errors="replace"))
        tpm.kill()
        tpm = self.start_server(self.workspace.file("nvram.img"))
        self.assertEqual(self.client().counter(), 6)

    def test_garbage_is_refused_and_changes_nothing(self):
        tpm = self.start_server(self.new_image())
        client = self.client()
        client.define_counter()
        self.assertEqual(client.increment(), 0)
        garbage = self.workspace.file("garbage")
        garbage.write_bytes(b"\x5a" * 2000)
        large = self.workspace.file("large")
        large.write_bytes(b"\x5a" * (1 << 20))
        swtpm_ioctl(tpm, "--stop")
        for kind in ("permanent", "volatile"):
            swtpm_ioctl(tpm, "--load", kind, garbage, status=1)
            swtpm_ioctl(tpm, "--load", kind, large, status=1)
        swtpm_ioctl(tpm, "-i")
        self.assertEqual(client.startup(), 0)
        self.assertEqual(client.counter(), 1)
        tpm.stop()


if __name__ == "__main__":
    unittest.main()
