"""The admin socket, and what becomes of a state that was handed over: without a guest."""

import json
import subprocess
import unittest

from support import Deadline, LOCK_STORAGE, SHUTDOWN, STOP, TpmCase, is_silent, program, vnvram

# pylint: disable=wrong-import-order
from harness.nbd_server import NbdServer
from harness.vnvram import info

SEALED, STALE, EXISTS, UNSUPPORTED = 30, 23, 26, 29
FAILURE = 0x101


def refused(*words):
    """Runs vnvram, which must fail; returns its status and what it said."""
    argv = [str(program("vnvram")), *map(str, words)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)
    if done.returncode == 0:
        raise AssertionError(f"{' '.join(argv)}: succeeded")
    return done.returncode, done.stderr


class AdminCase(TpmCase):

    def start_admin(self, image, server=None, options=()):
        self.admin = self.workspace.file("admin")
        return self.start(image, server, ["--admin", f"unix:{self.admin}", *options])

    def ask(self, verb, *words):
        return json.loads(vnvram("tpm", verb, "--json", self.admin, *words))

    def controlled(self, tpm):
        """What QEMU does at its start, and a counter that says 1."""
        control = self.control(tpm)
        client = control.take_control()
        self.addCleanup(client.close)
        self.assertEqual(control.init(), 0)
        self.assertEqual(client.startup(), 0)
        client.define_counter()
        self.assertEqual(client.increment(), 0)
        return control, client


class Hold(AdminCase):

    def test_commands_wait_until_resume(self):
        self.start_admin(self.new_image(), self.server)
        client = self.client()
        client.define_counter()
        self.assertEqual(client.increment(), 0)
        status = self.ask("hold")
        self.assertTrue(status["held"])
        client.send_increment()
        again = self.ask("hold")  # Holding twice is once.
        self.assertEqual((again["held"], again["generation"]), (True, status["generation"]))
        self.assertTrue(is_silent(client.sock))
        self.assertFalse(self.ask("resume")["held"])
        self.assertEqual(client.response()[0], 0)
        self.assertEqual(client.counter(), 2)

    def test_a_busy_tpm_can_be_held(self):
        self.start_admin(self.new_image(), self.server)
        client = self.client()
        client.define_counter()
        with subprocess.Popen([str(program("vnvram")), "tpm", "hold", str(self.admin)],
                              stdout=subprocess.PIPE) as holding:
            answered = 0
            client.send_increment()
            while holding.poll() is None:
                if not is_silent(client.sock):
                    self.assertEqual(client.response()[0], 0)
                    answered += 1
                    client.send_increment()
            self.assertEqual(holding.returncode, 0)
        status = self.ask("status")
        self.assertTrue(status["held"])
        self.ask("resume")
        self.assertEqual(client.response()[0], 0)
        self.assertEqual(client.counter(), answered + 1)


class Detached(AdminCase):

    def test_starts_without_its_image(self):
        image = self.new_image()
        tpm = self.start_admin(image, options=["--detached", "--seccomp", "off"])
        control = self.control(tpm)
        client = control.take_control()
        self.addCleanup(client.close)
        # What QEMU asks before its drives are there, all answered from memory.
        self.assertEqual(client.run(0x181)[0], FAILURE)
        self.assertNotEqual(control.capability(), 0)
        self.assertEqual(control.result(STOP), 0)
        self.assertEqual(control.init(), 0)
        client.send(0x144, b"\0\0")
        status = self.ask("status")
        self.assertEqual((status["attached"], status["location"]), (False, str(image)))
        self.assertTrue(is_silent(client.sock))
        status = self.ask("attach")
        self.assertTrue(status["attached"])
        self.assertEqual(client.response()[0], 0)
        client.define_counter()
        self.assertEqual(client.increment(), 0)
        tpm.stop()
        vnvram("check", image)
        self.start_server(image)
        self.assertEqual(self.client().counter(), 1)

    def test_attach_refuses_another_history(self):
        image, other = self.new_image(), self.workspace.file("other.img")
        vnvram("create", other, "--tpm2")
        self.start_admin(image, self.server, ["--seccomp", "off"])
        client = self.client()
        client.define_counter()
        self.assertEqual(client.increment(), 0)
        self.assertEqual(refused("tpm", "attach", self.admin)[0], EXISTS)
        generation = self.ask("detach")["generation"]
        code, text = refused("tpm", "attach", self.admin, other)
        self.assertEqual(code, STALE, text)
        self.assertIn("belongs", text)
        client.send_increment()
        self.assertTrue(is_silent(client.sock))
        # The command that has waited may be done by the time of the answer.
        self.assertIn(self.ask("attach", image)["generation"], (generation, generation + 1))
        self.assertEqual(client.response()[0], 0)
        self.assertEqual(client.counter(), 2)

    def test_a_reset_machine_takes_what_the_drive_holds(self):
        image = self.new_image()
        tpm = self.start_admin(image, options=["--seccomp", "off"])
        control, client = self.controlled(tpm)
        self.ask("hold")
        self.ask("detach")
        before = self.workspace.file("before")
        before.write_bytes(image.read_bytes())
        self.ask("attach")
        self.ask("resume")
        self.assertEqual(client.increment(), 0)
        self.assertEqual(client.counter(), 2)
        self.ask("hold")
        self.ask("detach")
        image.write_bytes(before.read_bytes())  # A revert.
        self.assertEqual(control.result(STOP), 0)
        self.assertEqual(control.init(), 0)
        self.ask("attach")
        self.ask("resume")
        self.assertEqual(client.startup(), 0)
        self.assertEqual(client.counter(), 1)


class Sealed(AdminCase):

    def hand_over(self, control):
        blobs = []
        for kind in (1, 2, 3):
            result, _, blob = control.get_blob(kind)
            self.assertEqual(result, 0)
            blobs.append(blob)
        return blobs

    def restore(self, tpm, blobs):
        """What the QEMU does to which a machine comes."""
        control = self.control(tpm)
        client = control.take_control()
        self.addCleanup(client.close)
        self.assertEqual(control.result(STOP), 0)
        for kind, blob in zip((1, 2, 3), blobs):
            if blob:
                self.assertEqual(control.set_blob(kind, blob), 0)
        self.assertEqual(control.init(1), 0)
        return control, client

    def wait_sealed(self, image, sealed):
        """The mark follows the answer."""
        deadline = Deadline(60)
        while json.loads(vnvram("info", "--json", image))["sealed"] != sealed:
            self.assertFalse(deadline.passed())

    def test_a_source_that_goes_on(self):
        image = self.new_image()
        tpm = self.start_admin(image)
        control, client = self.controlled(tpm)
        self.hand_over(control)
        self.wait_sealed(image, True)
        self.assertEqual(self.ask("status")["custody"], "handed-over")
        client.send_increment()
        self.assertEqual(self.ask("status")["custody"], "handed-over")
        self.assertTrue(is_silent(client.sock))
        for _ in range(2):  # Saying it twice is saying it once.
            self.assertEqual(control.result(LOCK_STORAGE, b"\0\0\0\0"), 0)
        self.assertEqual(client.response()[0], 0)
        self.assertEqual(client.counter(), 2)
        self.wait_sealed(image, False)
        tpm.stop()

    def test_a_source_that_has_gone_away(self):
        image, other = self.new_image(), self.workspace.file("other.img")
        vnvram("create", other, "--tpm2")
        tpm = self.start_admin(image)
        control, client = self.controlled(tpm)
        blobs = self.hand_over(control)
        self.assertEqual(control.result(SHUTDOWN), 0)
        control.close()
        client.close()
        self.wait_sealed(image, True)
        # Another QEMU on the same TPM, and nobody said that the state goes on here.
        control = self.control(tpm)
        second = control.take_control()
        self.assertEqual(control.init(), 0)
        self.assertEqual(second.startup(), FAILURE)
        self.assertIn("unseal", tpm.log.read_text(errors="replace"))
        second.close()
        control.close()
        tpm.stop()
        # The image itself says so to everybody.
        code, text = self.refused(image, "--ctrl", f"unix:{self.workspace.file('x')}")
        self.assertEqual(code, SEALED, text)
        self.assertIn("handed over", text)
        self.assertEqual(refused("put", "--force", image, "tpm2.permanent", "/dev/null")[0],
                         SEALED)
        self.assertIn("sealed", vnvram("info", image))
        vnvram("check", image)
        # The destination has it; and when the machine comes back, the image takes it up.
        there = self.start(other)
        control, client = self.restore(there, blobs)
        self.assertEqual(client.counter(), 1)
        self.assertEqual(client.increment(), 0)
        blobs = self.hand_over(control)
        back = self.start(image, options=["--incoming"])
        control, client = self.restore(back, blobs)
        self.assertEqual(client.counter(), 2)
        self.assertEqual(client.increment(), 0)
        back.stop()
        self.assertFalse(json.loads(vnvram("info", "--json", image))["sealed"])
        self.start_server(image)
        self.assertEqual(self.client().counter(), 3)

    def test_the_operators_word(self):
        image = self.new_image()
        tpm = self.start_admin(image)
        control, client = self.controlled(tpm)
        self.hand_over(control)
        self.wait_sealed(image, True)
        self.assertEqual(self.ask("unseal")["custody"], "ours")
        self.assertEqual(client.increment(), 0)
        self.hand_over(control)
        self.wait_sealed(image, True)
        tpm.kill()
        code, _ = self.refused(image, "--ctrl", f"unix:{self.workspace.file('x')}")
        self.assertEqual(code, SEALED)
        waiting = self.start_server(image, ["--incoming"])
        self.assertEqual(self.client().read_clock(), FAILURE)
        waiting.stop()
        vnvram("unseal", image)
        vnvram("unseal", image)
        self.start_server(image)
        self.assertEqual(self.client().counter(), 2)

    def test_a_qemu_that_never_says_that_it_goes_on(self):
        image = self.new_image()
        tpm = self.start_admin(image, options=["--no-seal"])
        control, client = self.controlled(tpm)
        self.hand_over(control)
        self.assertEqual(client.increment(), 0)
        self.assertEqual(self.ask("status")["custody"], "ours")

    def test_others_may_look(self):
        """Only the machine's own QEMU takes the state away."""
        image = self.new_image()
        tpm = self.start_admin(image)
        _, client = self.controlled(tpm)
        onlooker = self.control(tpm)
        self.assertEqual(onlooker.get_blob(1)[0], 0)
        self.assertEqual(client.increment(), 0)
        self.assertEqual(self.ask("status")["custody"], "ours")


    def test_nothing_is_left_of_a_snapshot(self):
        """The machine goes on, and happens to use its TPM no more before the end."""
        image = self.new_image()
        tpm = self.start_admin(image, options=["--seccomp", "off"])
        control, client = self.controlled(tpm)
        self.hand_over(control)
        self.wait_sealed(image, True)
        self.assertEqual(control.result(LOCK_STORAGE, b"\0\0\0\0"), 0)
        self.wait_sealed(image, False)
        self.hand_over(control)
        self.assertEqual(control.result(LOCK_STORAGE, b"\0\0\0\0"), 0)
        self.ask("detach")
        self.ask("attach")
        self.assertEqual(client.increment(), 0)
        self.hand_over(control)
        self.assertEqual(control.result(LOCK_STORAGE, b"\0\0\0\0"), 0)
        tpm.stop()
        self.assertFalse(info(image)["sealed"])

    def test_another_qemu_cannot_lift_it(self):
        image = self.new_image()
        tpm = self.start_admin(image)
        control, client = self.controlled(tpm)
        self.hand_over(control)
        control.close()
        client.close()
        self.wait_sealed(image, True)
        control = self.control(tpm)
        second = control.take_control()
        self.assertEqual(control.init(), 0)
        self.hand_over(control)  # A snapshot of it, or a migration that is cancelled.
        self.assertEqual(control.result(LOCK_STORAGE, b"\0\0\0\0"), 0)
        self.assertEqual(second.startup(), FAILURE)
        self.assertEqual(self.ask("status")["custody"], "gone")
        second.close()


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


class Words(AdminCase):

    def test_refused_command_lines(self):
        image = self.new_image()
        control = f"unix:{self.workspace.file('x')}"
        self.assertEqual(self.refused(image, "--ctrl", control, "--detached")[0], 2)
        self.assertEqual(self.refused(image, "--ctrl", control, "--admin", "tcp:1")[0], 2)
        code, text = refused("tpm", "status", self.workspace.file("nobody"))
        self.assertEqual(code, 10)
        self.assertIn("--admin", text)
        tpm = self.start_admin(image)
        code, text = refused("tpm", "status", tpm.control)  # The wrong one.
        self.assertEqual(code, 21, text)


if __name__ == "__main__":
    unittest.main()
