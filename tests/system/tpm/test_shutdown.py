"""A guest that is reset, or loses its power, without saying so to its TPM: what its TPM is told, and what stands."""

import resource
import struct
import unittest

from support import DISABLED, LOCK_STORAGE, SHUTDOWN, STOP, swtpm_ioctl, vnvram

# pylint: disable=wrong-import-order
from harness.nbd_server import NbdServer
from shutdown_case import (AREA, CLEAR, FAILURE, GET_CAPABILITY, NV_READ, NV_WRITE, PIN, ROUNDS, SENT, STARTUP, STATE,
                           TPM2_SHUTDOWN, ShutdownCase, define_area, extend, lockout_counter, password, read_area,
                           read_pcr, write_area)


class WhatStands(ShutdownCase):
    """Nothing is sent where something else was said, or where the state is not ours."""

    def start_in_use(self, options=(), image=None):
        tpm = self.start(image or self.new_image(), options=options)
        control, client = self.power_on(tpm)
        define_area(client)
        self.assertEqual(read_area(client), 0)
        return tpm, control, client

    def test_a_guest_that_shuts_down_itself(self):
        tpm, control, client = self.start_in_use()
        for ask in ((), (GET_CAPABILITY, struct.pack(">III", 6, 0x20E, 1))):
            client.must(TPM2_SHUTDOWN, CLEAR)
            if ask:
                client.must(*ask)
            self.assertEqual(control.result(STOP), 0)
            self.boot(control, client)
        self.assertNotIn(SENT, self.log_of(tpm))
        # And one that goes on after it has not.
        client.must(TPM2_SHUTDOWN, CLEAR)
        self.assertEqual(read_area(client), 0)
        extend(client)
        self.boot(control, client)
        self.assertIn(SENT, self.log_of(tpm))
        self.assertEqual(lockout_counter(client), 0)
        tpm.stop()

    def test_a_suspended_guest_is_resumed(self):
        """TPM2_Shutdown(STATE), power off, TPM2_Startup(STATE), as for ACPI S3."""
        tpm, control, client = self.start_in_use()
        after = {"nothing": lambda: None,
                 "a question": lambda: lockout_counter(client),
                 "a written area": lambda: write_area(client, b"suspends")}
        for what, go_on in after.items():
            with self.subTest(after=what):
                extend(client)
                register = read_pcr(client)
                self.assertNotEqual(register, bytes(32))
                client.must(TPM2_SHUTDOWN, STATE)
                go_on()
                for _ in range(2):
                    self.assertEqual(control.result(STOP), 0)
                self.assertEqual(control.init(), 0)
                self.assertEqual(client.run(STARTUP, STATE)[0], 0)
                self.assertEqual(read_pcr(client), register)
                self.assertEqual(lockout_counter(client), 0)
        tpm.stop()

    def test_suspended_over_a_restart(self):
        tpm, control, client = self.start_in_use()
        extend(client)
        register = read_pcr(client)
        client.must(TPM2_SHUTDOWN, STATE)
        self.assertEqual(control.result(SHUTDOWN), 0)
        tpm.stop()
        self.assertNotIn(SENT, self.log_of(tpm))
        tpm = self.start(self.workspace.file("nvram.img"))
        control = self.control(tpm)
        client = control.take_control()
        self.addCleanup(client.close)
        self.assertEqual(control.init(), 0)
        self.assertEqual(client.run(STARTUP, STATE)[0], 0)
        self.assertEqual(read_pcr(client), register)
        tpm.stop()

    def test_a_reset_clears_the_registers(self):
        tpm, control, client = self.start_in_use()
        extend(client)
        self.boot(control, client)
        self.assertIn(SENT, self.log_of(tpm))
        self.assertEqual(read_pcr(client), bytes(32))
        # What a guest could use to be resumed without having asked for it.
        self.assertEqual(control.init(), 0)
        self.assertNotEqual(client.run(STARTUP, STATE)[0], 0)
        tpm.stop()

    def test_a_firmware_that_never_got_to_startup(self):
        tpm, control, client = self.start_in_use()
        self.assertEqual(control.init(), 0)
        self.assertEqual(control.init(), 0)
        self.assertEqual(self.log_of(tpm).count(SENT), 1)
        tpm.stop()

    def test_a_state_that_was_handed_over(self):
        """Not a byte of it changes, with the seal and without."""
        for options in ((), ("--no-seal",)):
            with self.subTest(options=options):
                tpm, control, client = self.start_in_use(options)
                image = self.workspace.file("nvram.img")
                result, _, handed = control.get_blob(1)
                self.assertEqual(result, 0)
                before = self.permanent(image)
                for step in (STOP, SHUTDOWN):
                    self.assertEqual(control.result(step), 0)
                tpm.stop()
                self.assertNotIn(SENT, self.log_of(tpm))
                self.assertEqual(self.permanent(image), before)
                self.assertIn(before, handed)  # It may be wrapped.
                client.close()
                image.unlink()

    def test_a_copy_taken_by_hand(self):
        """swtpm_ioctl --save, and the end: it is a migration by hand."""
        tpm = self.start_server(self.new_image())
        client = self.client()
        define_area(client)
        self.assertEqual(read_area(client), 0)
        swtpm_ioctl(tpm, "--save", "permanent", self.workspace.file("saved"))
        tpm.stop()
        self.assertNotIn(SENT, self.log_of(tpm))

    def test_a_machine_that_goes_on_after_a_snapshot(self):
        for go_on in ("lock-storage", "command", "onlooker"):
            with self.subTest(go_on=go_on):
                options = ("--no-seal",) if go_on == "command" else ()
                tpm, control, client = self.start_in_use(options)
                if go_on == "onlooker":  # Who may not stop it has taken nothing away either.
                    self.assertEqual(self.control(tpm).get_blob(1)[0], 0)
                else:
                    self.assertEqual(control.get_blob(1)[0], 0)
                if go_on == "lock-storage":
                    self.assertEqual(control.result(LOCK_STORAGE, bytes(4)), 0)
                elif go_on == "command":
                    self.assertEqual(read_area(client), 0)
                self.boot(control, client)
                self.assertIn(SENT, self.log_of(tpm))
                self.assertEqual(lockout_counter(client), 0)
                tpm.stop()
                self.workspace.file("nvram.img").unlink()

    def test_a_client_that_may_not(self):
        tpm, _, client = self.start_in_use()
        before = self.permanent(self.workspace.file("nvram.img"))
        other = self.control(tpm)
        for step in (STOP, SHUTDOWN):
            self.assertEqual(other.result(step), DISABLED)
        self.assertEqual(other.init(), DISABLED)
        self.assertNotIn(SENT, self.log_of(tpm))
        self.assertEqual(self.permanent(self.workspace.file("nvram.img")), before)
        self.assertEqual(read_area(client), 0)
        tpm.stop()

    def test_a_tpm_in_failure_mode(self):
        tpm, control, client = self.start_in_use()
        resource.prlimit(tpm.pid, resource.RLIMIT_FSIZE, (4096, 4096))
        extend(client)  # Needs no device, but for what it takes back of a shutdown.
        self.assertNotEqual(client.run(NV_WRITE, struct.pack(">II", AREA, AREA) + password(PIN)
                                       + struct.pack(">H", 8) + b"different"[:8] + b"\0\0",
                                       0x8002)[0], 0)
        for _ in range(2):
            self.assertEqual(control.result(STOP), 0)
            self.assertEqual(control.init(), 0)
        self.assertEqual(control.result(SHUTDOWN), 0)
        self.assertNotEqual(tpm.child.terminate(), 0)
        self.assertNotIn(SENT, self.log_of(tpm))
        vnvram("check", self.workspace.file("nvram.img"))

    def test_a_tpm_that_is_held(self):
        admin = self.workspace.file("admin")
        tpm, control, client = self.start_in_use(("--admin", f"unix:{admin}"))
        vnvram("tpm", "hold", admin)
        before = self.permanent(self.workspace.file("nvram.img"))
        self.assertEqual(control.result(STOP), 0)
        self.assertEqual(control.init(), 0)
        vnvram("tpm", "hold", admin)
        self.assertNotIn(SENT, self.log_of(tpm))
        self.assertEqual(self.permanent(self.workspace.file("nvram.img")), before)
        vnvram("tpm", "resume", admin)
        self.assertEqual(client.run(STARTUP, CLEAR)[0], 0)
        tpm.stop()


    def test_a_sealed_image_that_waits_for_its_machine(self):
        tpm, _, client = self.start_in_use()
        tpm.kill()
        image = self.workspace.file("nvram.img")
        vnvram("seal", image)
        before = self.permanent(image)
        tpm = self.start(image, options=["--incoming"])
        control = self.control(tpm)
        client = control.take_control()
        self.addCleanup(client.close)
        self.assertEqual(control.init(), 0)
        self.assertEqual(client.run(STARTUP, CLEAR)[0], FAILURE)
        self.assertEqual(control.result(STOP), 0)
        self.assertEqual(control.init(), 0)
        tpm.stop()
        self.assertNotIn(SENT, self.log_of(tpm))
        self.assertEqual(self.permanent(image), before)

    def test_a_tpm_without_its_image(self):
        admin = self.workspace.file("admin")
        tpm, control, client = self.start_in_use(("--admin", f"unix:{admin}", "--seccomp", "off"))
        image = self.workspace.file("nvram.img")
        vnvram("tpm", "detach", admin)
        before = self.permanent(image)
        for _ in range(2):
            self.assertEqual(control.result(STOP), 0)
            self.assertEqual(control.init(), 0)
        self.assertNotIn(SENT, self.log_of(tpm))
        vnvram("tpm", "attach", admin)
        self.assertEqual(self.permanent(image), before)
        self.assertEqual(client.run(STARTUP, CLEAR)[0], 0)
        tpm.stop()


class SharedDrive(ShutdownCase):
    """An NBD export that someone else may revert, or end first."""

    def start_on_export(self):
        image = self.new_image()
        server = NbdServer(self.workspace, "nbdkit", image)
        self.addCleanup(server.kill)
        self.admin = self.workspace.file("admin")
        tpm = self.start(server.uri, options=["--admin", f"unix:{self.admin}"])
        control, client = self.power_on(tpm)
        define_area(client)
        self.assertEqual(read_area(client), 0)
        return image, server, tpm, control, client

    def test_it_is_written_with_the_next_command(self):
        image, _, tpm, control, client = self.start_on_export()
        for _ in range(ROUNDS):
            self.assertEqual(read_area(client), 0)
            before = image.read_bytes()
            for _ in range(2):
                self.assertEqual(control.result(STOP), 0)
            self.assertEqual(control.init(), 0)
            vnvram("tpm", "status", self.admin)
            self.assertEqual(image.read_bytes(), before)
            self.assertEqual(client.run(STARTUP, CLEAR)[0], 0)
            self.assertNotEqual(image.read_bytes(), before)
            self.assertEqual(lockout_counter(client), 0)
        tpm.stop()

    def test_the_end_of_the_process_writes_it(self):
        _, server, tpm, control, client = self.start_on_export()
        self.assertEqual(control.result(SHUTDOWN), 0)
        tpm.stop()
        client.close()
        tpm = self.start(server.uri)
        control, client = self.power_on(tpm)
        self.assertEqual(lockout_counter(client), 0)
        tpm.stop()

    def test_a_drive_that_was_put_back_is_not_written_over(self):
        image, _, tpm, control, client = self.start_on_export()
        snapshot = image.read_bytes()
        write_area(client, b"too late")
        with open(image, "r+b") as file:  # loadvm does this, and resets the machine then.
            file.write(snapshot)
        self.assertEqual(control.result(STOP), 0)
        self.assertIn(SENT, self.log_of(tpm))
        self.assertEqual(control.init(), 0)
        self.assertEqual(image.read_bytes(), snapshot)
        self.assertEqual(client.run(STARTUP, CLEAR)[0], 0)
        data = client.must(NV_READ, struct.pack(">II", AREA, AREA) + password(PIN)
                           + struct.pack(">HH", 8, 0), 0x8002)
        self.assertIn(b"whatever", data)
        tpm.stop()
        vnvram("check", image)

    def test_a_drive_that_was_put_back_before_the_end(self):
        image, _, tpm, control, client = self.start_on_export()
        snapshot = image.read_bytes()
        write_area(client, b"too late")
        with open(image, "r+b") as file:
            file.write(snapshot)
        self.assertEqual(control.result(SHUTDOWN), 0)
        tpm.stop()
        self.assertIn("left as it is", self.log_of(tpm))
        self.assertEqual(image.read_bytes(), snapshot)

    def test_a_drive_that_ends_first(self):
        """With the QEMU that owned it: an ordinary end, and the lock-out counter counts it."""
        image, server, tpm, control, _ = self.start_on_export()
        self.assertEqual(control.result(SHUTDOWN), 0)
        server.kill()
        tpm.stop()
        self.assertIn("left as it is", self.log_of(tpm))
        tpm = self.start(image)
        _, client = self.power_on(tpm)
        self.assertEqual(lockout_counter(client), 1)
        tpm.stop()


class Tpm12(ShutdownCase):
    image_options = ("--tpm12",)

    def test_it_has_no_such_command(self):
        image = self.new_image()
        tpm = self.start(image)
        swtpm_ioctl(tpm, "-i")
        swtpm_ioctl(tpm, "--stop")
        swtpm_ioctl(tpm, "-i")
        tpm.stop()
        self.assertNotIn(SENT, self.log_of(tpm))
        vnvram("check", image)


if __name__ == "__main__":
    unittest.main()
