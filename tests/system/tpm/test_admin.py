"""The admin socket, and what becomes of a state that was handed over: without a guest."""

import json
import subprocess
import unittest

from support import Deadline, LOCK_STORAGE, SHUTDOWN, STOP, is_silent, program, vnvram

# pylint: disable=wrong-import-order
from harness.vnvram import info
from admin_case import FAILURE, AdminCase, refused

SEALED, STALE, EXISTS = 30, 23, 26


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
