"""One image that two hosts see: a machine is handed over between two vnvram-tpm --shared, as QEMU does it,
and whoever dies, or says what, at whatever stage: exactly one goes on, with all that was answered."""

import os
import pathlib
import statistics
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # Run by itself, and imported by serve's.

from harness.on_nbd_server import OnNbdServer  # noqa: E402
from harness.tpm_process import program  # noqa: E402
from harness.vnvram import create, info, vnvram  # noqa: E402
from tpm.shared_image_case import PERMANENT, SEALED, Host, SharedImageCase, fetch, take  # noqa: E402
from tpm.support import FAIL, STORE_VOLATILE, TpmCase  # noqa: E402

ROUNDS = 300 if os.environ.get("VNVRAM_LONG_TESTS") else 10


class HandOver(SharedImageCase):
    def test_a_machine_moves(self):
        source, count = self.start_source()
        target = self.start_target()
        self.assertEqual(self.info()["owner_pid"], source.tpm.pid)
        blobs = fetch(source.control)
        left = self.info()
        self.assertTrue(left["sealed"])
        self.assertRegex(left["hand_over"], "^[0-9a-f]{32}$")
        self.assertFalse(left["locked"])
        self.assertIn("sealed for a hand-over", vnvram("info", self.image))
        self.assertEqual(take(target.control, blobs), 0, target.log_text())
        self.assertIsNone(self.info()["hand_over"])
        self.must_go_on(target, count)
        said = target.log_text()  # That it is on when the image is its own, and not before.
        self.assertLess(said.index("the image is unsealed"), said.index("the TPM is powered on"))
        self.assertIn(f": {self.location()} has come by its hand-over, generation {left['generation']}\n", said)
        self.must_not_go_on(source)
        for words in (f"is let go at generation {left['generation']}, sealed for its hand-over",
                      f"has gone on elsewhere; generation {left['generation']} was the last one here"):
            self.assertEqual(source.log_text().count(f": {self.location()} {words}\n"), 1, source.log_text())
        self.assertIn(f"has gone on elsewhere: process {target.tpm.pid} on {os.uname().nodename}",
                      source.log_text())
        self.must_go_on(target, count + 1)
        source.tpm.stop()
        self.must_go_on(target, count + 2)
        target.tpm.stop()
        self.assertTrue(self.info()["clean"])

    def test_there_and_back_again(self):
        """Processes that stay, with a QEMU after the other."""
        here, count = self.start_source()
        there = self.start_target()
        for _ in range(4):
            blobs = fetch(here.control)
            self.assertEqual(take(there.control, blobs), 0, there.log_text())
            self.must_go_on(there, count)
            count += 1
            here.qemu_ends()
            here, there = there, Host(self, here.tpm)

    def test_a_migration_that_did_not_come_about(self):
        source, target, count = self.comes_to_nothing()
        self.assertEqual(take(target.control, fetch(source.control)), 0)
        self.must_go_on(target, count)

    def test_a_snapshot_is_none(self):
        """QEMU fetches the state for one, too, and goes on; loads it, and goes on from that."""
        source, count = self.start_source()
        snapshot = fetch(source.control)
        self.assertEqual(source.control.lock_storage(), 0)
        self.must_go_on(source, count)
        self.assertEqual(take(source.control, snapshot), 0)
        self.must_go_on(source, count)
        snapshot = fetch(source.control)
        self.assertEqual(take(source.control, snapshot), 0)  # Of one that was not gone on with.
        self.must_go_on(source, count + 1)

    def test_what_is_fetched_again_is_the_same(self):
        source, count = self.start_source()
        blobs = fetch(source.control)
        number = self.info()["hand_over"]
        self.assertEqual(fetch(source.control), blobs)
        self.assertEqual(self.info()["hand_over"], number)
        self.assertEqual(source.control.lock_storage(), 0)
        self.assertNotEqual(fetch(source.control), blobs)
        self.assertNotEqual(self.info()["hand_over"], number)
        self.assertEqual(source.control.lock_storage(), 0)
        self.must_go_on(source, count)

    def test_a_reset_before_it_is_said_where_it_goes_on(self):
        """In memory only; what goes out next is sealed for itself."""
        source, _ = self.start_source()
        old = fetch(source.control)
        self.assertEqual(source.control.init(), 0)
        self.assertTrue(self.info()["sealed"])
        new = fetch(source.control)
        target = self.start_target()
        self.assertEqual(take(target.control, old), FAIL)
        self.assertIn("not for the hand-over of this state", target.log_text())
        self.assertEqual(take(target.control, new), 0, target.log_text())
        self.must_not_go_on(source)

    def test_nothing_is_opened_before_it_is_handed_over(self):
        source, count = self.start_source()
        blobs = fetch(source.control)
        self.assertEqual(source.control.lock_storage(), 0)
        self.assertEqual(source.guest.counter(), count)  # The seal is off before that is answered.
        target = self.start_target()
        self.assertEqual(target.control.init(), FAIL)  # Of a machine that was started, not moved.
        self.assertEqual(take(target.control, blobs), FAIL)
        self.assertEqual(self.refused_to_start(), 14)  # in use
        self.must_go_on(source, count)

    def test_a_target_without_a_state_opens_nothing(self):
        """A QEMU that was started, and not moved; also when nobody has the image."""
        target = self.start_target()
        before = self.owner()
        self.assertEqual(target.control.init(), FAIL)
        self.assertEqual(target.control.lock_storage(), FAIL)
        self.assertEqual(self.owner(), before)
        self.assertIn("QEMU has not set a state", target.log_text())
        self.assertNotIn("the TPM is powered on", target.log_text())

    def test_what_was_let_go_is_not_started_without_a_word(self):
        source, count = self.start_source()
        fetch(source.control)
        source.qemu_ends()
        again = Host(self, source.tpm)
        self.assertEqual(again.control.init(), FAIL)
        self.assertEqual(again.control.lock_storage(), FAIL)
        source.tpm.stop()
        self.assertEqual(self.refused_to_start(), SEALED)
        late = self.start_target()
        self.assertEqual(late.control.init(), FAIL)
        self.assertEqual(subprocess.run([program("vnvram"), "put", self.image, "tpm2.volatile", "-", "--force"],
                                        input=b"x", stderr=subprocess.PIPE, check=False, timeout=60).returncode, SEALED)
        vnvram("unseal", self.image)
        new = self.start_host()
        self.assertEqual((new.control.init(), new.guest.startup()), (0, 0))
        self.must_go_on(new, count)


class Held(SharedImageCase):
    """vnvram tpm hold."""

    def start_held(self):
        admin = self.workspace.file("admin")
        self.tpm_words = ("--admin", f"unix:{admin}")
        source, count = self.start_source()
        vnvram("tpm", "hold", admin)
        return source, count, admin

    def test_a_snapshot_is_loaded_and_comes_behind_it(self):
        source, count, admin = self.start_held()
        # Somebody beside QEMU, for whom nothing is handed over.
        blobs = fetch(self.control(source.tpm))
        before = self.owner()
        self.assertEqual(source.control.result(STORE_VOLATILE), 0)
        self.assertEqual(take(source.control, blobs), 0)
        self.assertEqual(self.owner(), before)
        vnvram("tpm", "resume", admin)
        self.must_go_on(source, count)

    def test_nothing_is_handed_over(self):
        source, count, admin = self.start_held()
        before = self.owner()
        self.assertEqual(source.control.get_blob(PERMANENT)[0], FAIL)
        self.assertIn("the TPM is held", source.log_text())
        self.assertEqual(self.owner(), before)
        vnvram("tpm", "resume", admin)
        self.must_go_on(source, count)
        self.tpm_words = ()
        target = self.start_target()
        self.assertEqual(take(target.control, fetch(source.control)), 0, target.log_text())
        self.must_go_on(target, count + 1)


class Deaths(SharedImageCase):
    def test_the_source_dies_behind_the_seal(self):
        for end in ("kill", "stop"):
            with self.subTest(end):
                source, count = self.start_source()
                target = self.start_target()
                blobs = fetch(source.control)
                getattr(source.tpm, end)()
                self.assertEqual(take(target.control, blobs), 0, target.log_text())
                self.must_go_on(target, count)
                target.tpm.stop()
                self.image = create(self.workspace.file(f"another-{end}.img"), *self.image_words)

    def test_the_source_dies_before_the_seal(self):
        """The image can be started."""
        source, count = self.start_source()
        source.tpm.kill()
        new = self.start_host()
        self.assertEqual((new.control.init(), new.guest.startup()), (0, 0))
        self.must_go_on(new, count)

    def test_the_target_dies_before_it_has_opened_the_image(self):
        source, count = self.start_source()
        for stage in range(3):
            with self.subTest(stage):
                target = self.start_target()
                blobs = fetch(source.control)
                if stage > 0:
                    self.assertEqual(target.control.stop(), 0)
                if stage > 1:
                    self.assertEqual(target.control.set_blob(PERMANENT, blobs[PERMANENT]), 0)
                target.tpm.kill()
                self.assertEqual(source.control.lock_storage(), 0)
                self.must_go_on(source, count)
                count += 1

    def test_the_target_dies_when_it_has_gone_on(self):
        source, count = self.start_source()
        target = self.start_target()
        self.assertEqual(take(target.control, fetch(source.control)), 0)
        self.must_go_on(target, count)
        target.tpm.kill()
        self.must_not_go_on(source)
        new = self.start_host()
        self.assertEqual((new.control.init(), new.guest.startup()), (0, 0))
        self.must_go_on(new, count + 1)

    def test_whoever_dies_at_a_random_moment(self):
        """With the other one then told to go on."""
        source, count = self.start_source()
        for number in range(ROUNDS):
            target = self.start_target()
            blobs = fetch(source.control)
            # Whether it has answered or not is not known to who sees it die.
            target.control.stop()
            for kind, blob in blobs.items():
                if blob:
                    target.control.set_blob(kind, blob)
            target.control.sock.sendall(bytes([0, 0, 0, 2, 0, 0, 0, 1]))
            time.sleep(number % 10 * 0.001)  # Random, not for synchronisation.
            target.tpm.kill()
            goes_on = source.control.lock_storage() == 0
            if not goes_on:
                self.assertNotEqual(source.guest.increment(), 0)
                source.tpm.kill()
                source = self.start_host()
                self.assertEqual((source.control.init(), source.guest.startup()), (0, 0))
            self.must_go_on(source, count)
            count += 1


class Encrypted(SharedImageCase):
    """With an anchor that both see."""

    def setUp(self):
        TpmCase.setUp(self)
        key = self.workspace.file("key")
        key.write_bytes(os.urandom(32))
        self.image = create(self.workspace.file("shared.img"), *self.image_words, "--encrypt", "--key", f"file:{key}")
        anchor = self.workspace.file("anchor")
        vnvram("anchor", "accept", self.image, "--anchor", f"file:{anchor}", "--key", f"file:{key}")
        self.tpm_words = ("--key", f"file:{key}", "--anchor", f"file:{anchor}")
        self.key = f"file:{key}"

    def info(self):
        return info(self.image, "--key", self.key)

    def test_a_machine_moves_and_comes_back(self):
        source, count = self.start_source()
        target = self.start_target()
        self.assertEqual(take(target.control, fetch(source.control)), 0, target.log_text())
        self.must_go_on(target, count)
        self.must_not_go_on(source)
        source.qemu_ends()
        back = Host(self, source.tpm)
        self.assertEqual(take(back.control, fetch(target.control)), 0, back.log_text())
        self.must_go_on(back, count + 1)
        fetch(back.control)
        self.assertEqual(back.control.lock_storage(), 0)
        self.must_go_on(back, count + 2)


class WithoutALock(OnNbdServer, SharedImageCase):
    def test_a_machine_moves(self):
        source, count = self.start_source()
        target = self.start_target()
        self.assertEqual(take(target.control, fetch(source.control)), 0, target.log_text())
        self.assertFalse(self.info()["sealed"])  # Or the source could take it back.
        self.must_not_go_on(source)
        self.must_go_on(target, count)
        self.assertNotEqual(source.guest.increment(), 0)
        self.must_go_on(target, count + 1)

    def test_a_migration_that_did_not_come_about(self):
        self.comes_to_nothing()


class Times:
    """Before a case in a class's bases."""

    def test_how_long_it_takes(self):
        """From the source's seal to the target's first commit."""
        here, count = self.start_source()
        there = self.start_target()
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            blobs = fetch(here.control)
            fetched = time.perf_counter()
            self.assertEqual(take(there.control, blobs), 0)
            taken = time.perf_counter()
            there.guest.must_increment()
            end = time.perf_counter()
            count += 1
            self.assertEqual(there.guest.counter(), count)
            times.append((fetched - start, taken - fetched, end - taken, end - start))
            here.qemu_ends()
            here, there = there, Host(self, here.tpm)
        given, took, first, whole = (statistics.median(column) * 1000 for column in zip(*times))
        print(f"{len(times)} hand-overs of one image, median: {given:.2f} ms to give, seal and let go, {took:.2f} ms to "
              f"take, with the image, {first:.2f} ms for the first commit; {whole:.2f} ms in all")


class TimesOfAFile(Times, SharedImageCase):
    pass


if __name__ == "__main__":
    unittest.main()
