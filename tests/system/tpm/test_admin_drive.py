"""A TPM on a drive that others put back, seal or end under it."""

import unittest

from support import LOCK_STORAGE, SHUTDOWN, STOP, vnvram

# pylint: disable=wrong-import-order
from harness.nbd_server import NbdServer
from harness.vnvram import info
from admin_case import FAILURE, AdminCase, refused

UNSUPPORTED = 29


class SharedDrive(AdminCase):
    """An NBD export: who serves it may put back an earlier content, or be gone first."""

    def start_on_export(self, options=(), image=None):
        image = image or self.new_image()
        server = NbdServer(self.workspace, "nbdkit", image)
        self.addCleanup(server.kill)
        return image, server, self.start(server.uri, options=options)

    def write_under(self, image, content):
        with open(image, "r+b") as file:
            file.write(content)

    def test_content_that_was_put_back(self):
        image, _, tpm = self.start_on_export()
        control, client = self.controlled(tpm)
        snapshot = image.read_bytes()
        self.assertEqual(client.increment(), 0)
        self.write_under(image, snapshot)
        self.assertEqual(control.result(STOP), 0)
        self.assertEqual(control.init(), 0)
        self.assertEqual(client.startup(), 0)
        self.assertEqual(client.counter(), 1)
        self.assertIn("changed underneath", tpm.log.read_text(errors="replace"))
        self.assertEqual(client.increment(), 0)
        tpm.stop()
        vnvram("check", image)

    def test_what_qemu_sets_wins_over_what_was_put_back(self):
        image, _, tpm = self.start_on_export()
        control, client = self.controlled(tpm)
        snapshot = image.read_bytes()
        self.assertEqual(client.increment(), 0)
        blobs = [control.get_blob(kind)[2] for kind in (1, 2)]
        self.write_under(image, snapshot)
        self.assertEqual(control.result(STOP), 0)
        for kind, blob in zip((1, 2), blobs):
            self.assertEqual(control.set_blob(kind, blob), 0)
        self.assertEqual(control.init(1), 0)
        self.assertEqual(client.counter(), 2)
        self.assertEqual(client.increment(), 0)
        log = tpm.log.read_text(errors="replace")
        self.assertIn("a restored TPM state has replaced that of generation", log)
        tpm.stop()
        self.start_server(image)
        self.assertEqual(self.client().counter(), 3)

    def test_nothing_is_written_but_for_a_command(self):
        self.admin = self.workspace.file("admin")
        image, _, tpm = self.start_on_export(["--admin", f"unix:{self.admin}"])
        control, client = self.controlled(tpm)
        blobs = [control.get_blob(kind)[2] for kind in (1, 2)]
        self.assertEqual(control.result(LOCK_STORAGE, b"\0\0\0\0"), 0)
        self.assertEqual(client.increment(), 0)  # So that what is set differs from what is there.
        before = image.read_bytes()
        self.assertEqual(control.result(STOP), 0)
        for kind, blob in zip((1, 2), blobs):
            self.assertEqual(control.set_blob(kind, blob), 0)
        self.assertEqual(control.init(1), 0)
        status = self.ask("hold")  # Behind all that the control commands have set going.
        self.assertTrue(status["uncommitted"])
        self.assertEqual(image.read_bytes(), before)
        self.assertFalse(self.ask("resume")["uncommitted"])
        self.assertNotEqual(image.read_bytes(), before)
        self.assertEqual(client.counter(), 1)

    def test_a_seal_that_is_found(self):
        image, server, tpm = self.start_on_export()
        control, client = self.controlled(tpm)
        vnvram("seal", server.uri)
        self.assertEqual(control.result(STOP), 0)
        self.assertEqual(control.init(), 0)
        self.assertEqual(client.startup(), FAILURE)
        self.assertTrue(info(image)["sealed"])

    def test_the_end_after_a_hand_over(self):
        image, _, tpm = self.start_on_export()
        control, _ = self.controlled(tpm)
        self.assertEqual(control.get_blob(1)[0], 0)
        tpm.stop()
        self.assertTrue(info(image)["sealed"])

    def test_what_has_come_is_kept_though_the_guest_does_not_use_it(self):
        image, _, tpm = self.start_on_export()
        control, _ = self.controlled(tpm)
        blobs = [control.get_blob(kind)[2] for kind in (1, 2)]
        other = self.workspace.file("other.img")
        vnvram("create", other, "--tpm2")
        self.admin = self.workspace.file("admin")
        _, server, there = self.start_on_export(["--admin", f"unix:{self.admin}"], other)
        second = self.control(there)
        client = second.take_control()
        self.assertEqual(second.result(STOP), 0)
        for kind, blob in zip((1, 2), blobs):
            self.assertEqual(second.set_blob(kind, blob), 0)
        self.assertEqual(second.init(1), 0)
        self.assertTrue(self.ask("status")["uncommitted"])
        self.assertFalse(self.ask("resume")["uncommitted"])
        there.kill()
        tpm = self.start(server.uri)
        second = self.control(tpm)
        client = second.take_control()
        self.assertEqual(second.init(), 0)
        self.assertEqual(client.startup(), 0)
        self.assertEqual(client.counter(), 1)
        # And if it moves on before: what is left behind is what was handed over.
        for kind, blob in zip((1, 2), blobs):
            self.assertEqual(second.result(STOP), 0)
            self.assertEqual(second.set_blob(kind, blob), 0)
        self.assertEqual(second.init(1), 0)
        self.assertEqual(second.get_blob(1)[0], 0)
        tpm.stop()
        self.assertTrue(info(other)["sealed"])
        vnvram("unseal", other)
        self.start_server(other)
        self.assertEqual(self.client().counter(), 1)

    def test_a_qemu_that_starts_again(self):
        """On a TPM that was left held, and one that was left without its drive."""
        _, server, tpm = self.start_on_export(["--admin", f"unix:{self.workspace.file('admin')}"])
        self.admin = self.workspace.file("admin")
        control, client = self.controlled(tpm)
        self.ask("hold")
        self.assertEqual(control.result(SHUTDOWN), 0)
        for leave in ("held", "detached"):
            control.close()
            client.close()
            control = self.control(tpm)
            client = control.take_control()
            self.assertEqual(client.run(0x181)[0], FAILURE, leave)  # QEMU's probe, before INIT.
            self.assertEqual(control.result(STOP), 0)
            self.assertEqual(control.init(), 0)
            if leave == "held":
                self.ask("detach")  # And then it is killed, with its TPM powered on.
        self.ask("attach", server.uri)
        self.ask("resume")
        self.assertEqual(client.startup(), 0)
        self.assertEqual(client.counter(), 1)

    def test_a_drive_that_ends_first(self):
        image, server, tpm = self.start_on_export()
        self.controlled(tpm)
        server.kill()
        tpm.stop()
        self.assertIn("left as it is", tpm.log.read_text(errors="replace"))
        self.start_server(image)
        self.assertEqual(self.client().counter(), 1)

    def test_drives_that_a_confined_process_cannot_reach(self):
        image = self.new_image()
        tpm = self.start_admin(image)
        code, text = refused("tpm", "detach", self.admin)
        self.assertEqual(code, UNSUPPORTED, text)
        tpm.stop()
        _, _, tpm = self.start_on_export(["--admin", f"unix:{self.admin}"], image)
        _, client = self.controlled(tpm)
        self.ask("detach")
        for where in ("nbd://localhost:1", "nbds://127.0.0.1:1", "nbds+unix:///?socket=/nowhere",
                      "nbd://no.such.host.invalid", image):
            refused("tpm", "attach", self.admin, where)
        self.ask("attach")
        self.assertEqual(client.increment(), 0)


if __name__ == "__main__":
    unittest.main()
