"""Sizes are what the libtpms says that runs: one that asks for more, for less, and one that keeps
more than it has asked for."""

import json
import os
import struct
import subprocess
import unittest
from unittest import mock

from support import BUFFER_SIZE, STOP, TpmCase, program, vnvram

LIBRARY = os.environ["VNVRAM_OTHER_LIBTPMS"]
COMMAND_SIZE = 0x142
GET_RANDOM = 0x17B
FAILURE, NV_DEFINED = 0x101, 0x14C
NO_SPACE = 20
BAD_SIZE = 0x19
KIB = 1 << 10


class SizesCase(TpmCase):

    def other_libtpms(self, **settings):
        """From here on in this test, for every program that it starts."""
        names = {f"OTHER_{name.upper()}": str(value) for name, value in settings.items()}
        patch = mock.patch.dict(os.environ, {"LD_PRELOAD": str(LIBRARY), **names})
        patch.start()
        self.addCleanup(patch.stop)
        return patch

    def sizes_max(self, image):
        blobs = json.loads(vnvram("ls", "--json", image))["blobs"]
        return {blob["name"].split(".")[1]: blob["size_max_bytes"] for blob in blobs}

    def size(self, *words):
        return json.loads(vnvram("size", "--json", *words))


class Buffers(SizesCase):

    def longest(self, client, size):
        """The code that a command of this length is answered with."""
        return client.run(GET_RANDOM, bytes(size - 10))[0]

    def test_what_libtpms_says_is_taken(self):
        for size in (4096, 8192, 2048):
            with self.subTest(buffer=size):
                patch = self.other_libtpms(buffer_max=size)
                image = self.new_image()
                tpm = self.start_server(image)
                client = self.client()
                control = self.control(tpm)
                command = control.take_control()
                for each in (client, command):
                    # Too long: that is said, and where the next one begins is known.
                    self.assertEqual(self.longest(each, size + 1), COMMAND_SIZE)
                    self.assertEqual(each.read_clock() in (0, 0x100), True)
                if size > 4096:  # Else it is the real one's affair.
                    self.assertEqual(self.longest(client, size), size)
                    self.assertEqual(self.longest(client, 4097), 4097)
                self.assertEqual(control.result(STOP), 0)
                result, reply = control.ask(BUFFER_SIZE, struct.pack(">I", 0), 16)
                self.assertEqual((result, struct.unpack(">III", reply)[2]), (0, size))
                result, reply = control.ask(BUFFER_SIZE, struct.pack(">I", size), 16)
                self.assertEqual(struct.unpack(">III", reply)[0], size)
                command.close()
                tpm.stop()
                image.unlink()
                patch.stop()


class Blobs(SizesCase):

    larger = {"max_nv_space": 400 * KIB, "max_volatilestate_space": 200 * KIB,
              "max_savestate_space": 100 * KIB + 1}
    sizes = {"permanent": 400 * KIB, "volatile": 200 * KIB, "savestate": 104 * KIB}

    def test_a_new_image_is_made_for_them(self):
        for version in ("--tpm2", "--tpm12"):
            with self.subTest(version=version):
                before = self.size(version)
                patch = self.other_libtpms(**self.larger)
                self.assertGreater(self.size(version)["required_bytes"], before["required_bytes"])
                image = self.new_image(version)
                self.assertEqual(self.sizes_max(image), self.sizes)
                image.unlink()
                patch.stop()

    def test_smaller_ones(self):
        self.other_libtpms(max_nv_space=48 * KIB, max_volatilestate_space=32 * KIB,
                           max_savestate_space=16 * KIB)
        image = self.new_image()
        smaller = {"permanent": 48 * KIB, "volatile": 32 * KIB, "savestate": 16 * KIB}
        self.assertEqual(self.sizes_max(image), smaller)
        tpm = self.start_server(image)
        client = self.client()
        client.define_counter()
        # Whatever libtpms has said of itself: what it keeps is kept.
        area, number = bytes(range(256)) * 7, 0
        while client.define_area(0x1500100 + number, len(area)) == 0 and number < 40:
            client.write_area(0x1500100 + number, area)
            number += 1
        self.assertEqual(number, 40)
        self.assertEqual(client.increment(), 0)
        tpm.kill()
        self.assertGreater(self.sizes_max(image)["permanent"], 48 * KIB)
        self.start_server(image)
        self.assertEqual(self.client().counter(), 1)
        vnvram("check", image)

    def test_an_image_grows_when_the_tpm_starts(self):
        image = self.new_image()
        tpm = self.start_server(image)
        client = self.client()
        client.define_counter()
        self.assertEqual(client.increment(), 0)
        tpm.stop()
        before = self.sizes_max(image)
        patch = self.other_libtpms(**self.larger)
        tpm = self.start_server(image)
        self.assertEqual(self.sizes_max(image), self.sizes)
        self.assertEqual(self.client().counter(), 1)
        tpm.stop()
        patch.stop()
        # The older one again, on the same image: what was reserved stays.
        self.assertGreater(self.sizes["permanent"], before["permanent"])
        tpm = self.start_server(image)
        self.assertEqual(self.client().counter(), 1)
        self.assertEqual(self.sizes_max(image), self.sizes)
        tpm.stop()
        vnvram("check", image)

    def test_an_image_that_has_no_room_to_grow(self):
        image = self.workspace.file("nvram.img")
        vnvram("create", image, "--tpm2", "--size", self.size("--tpm2")["required_bytes"])
        tpm = self.start_server(image)
        client = self.client()
        client.define_counter()
        self.assertEqual(client.increment(), 0)
        tpm.stop()
        before = self.sizes_max(image)
        patch = self.other_libtpms(**self.larger)
        code, text = self.refused(image, "--ctrl", f"unix:{self.workspace.file('x')}")
        self.assertEqual(code, NO_SPACE, text)
        self.assertIn("too small", text)
        self.assertIn(f"vnvram resize {image}", text)
        self.assertIn("libtpms", text)
        self.assertEqual(self.sizes_max(image), before)
        patch.stop()
        self.start_server(image).stop()  # With what was there, it still works.
        self.other_libtpms(**self.larger)
        vnvram("resize", image, "8M")
        tpm = self.start_server(image)
        self.assertEqual(self.sizes_max(image), self.sizes)
        self.assertEqual(self.client().counter(), 1)
        tpm.stop()
        vnvram("check", image)


class MoreThanItSaid(SizesCase):
    """libtpms does not say how large a TPM 2.0 can be: what it keeps may be larger than the blob."""

    def used(self, image):
        tpm = self.start_server(image)
        client = self.client()
        client.define_counter()
        self.assertEqual(client.increment(), 0)
        return tpm, client

    def test_the_blob_grows_with_it(self):
        image = self.new_image()
        tpm, _ = self.used(image)
        tpm.stop()
        before = self.sizes_max(image)["permanent"]
        self.other_libtpms(state_more=before)
        tpm = self.start_server(image)
        client = self.client()
        self.assertEqual(client.increment(), 0)
        self.assertGreater(self.sizes_max(image)["permanent"], before)
        tpm.kill()
        tpm = self.start_server(image)
        self.assertEqual(self.client().counter(), 2)
        tpm.stop()
        vnvram("check", image)

    def test_a_new_tpm_is_made_in_one_that_is_too_small(self):
        image = self.new_image()
        self.other_libtpms(state_more=300 * KIB)
        tpm, client = self.used(image)
        self.assertGreater(self.sizes_max(image)["permanent"], 300 * KIB)
        self.assertEqual(client.counter(), 1)
        tpm.stop()

    def test_no_room_at_the_start_is_refused(self):
        image = self.workspace.file("nvram.img")
        vnvram("create", image, "--tpm2", "--size", self.size("--tpm2")["required_bytes"])
        tpm, _ = self.used(image)
        tpm.stop()
        patch = self.other_libtpms(state_more=600 * KIB)
        status, text = self.refused(image, "--server", f"unix:{self.server}", "--startup", "clear")
        self.assertEqual(status, NO_SPACE, text)
        self.assertIn("tpm2.permanent cannot grow", text)
        self.assertIn("vnvram resize", text)
        patch.stop()
        vnvram("check", image)
        tpm = self.start_server(image)
        self.assertEqual(self.client().counter(), 1)
        tpm.stop()


    def test_no_room_while_it_runs_is_failure_mode_and_says_why(self):
        patch = self.other_libtpms(max_nv_space=12 * KIB, max_volatilestate_space=4 * KIB,
                                   max_savestate_space=4 * KIB)
        image = self.workspace.file("nvram.img")
        vnvram("create", image, "--tpm2", "--size", self.size("--tpm2")["required_bytes"])
        tpm, client = self.used(image)
        # Until what libtpms keeps is larger than the blob, and the image has no block left.
        areas = 0
        while client.define_area(0x1500100 + areas, 1000) != FAILURE:
            areas += 1
            self.assertLess(areas, 100)
        log = tpm.log.read_text(errors="replace")
        self.assertIn("failure mode", log)
        self.assertIn("tpm2.permanent cannot grow", log)
        self.assertIn("vnvram resize", log)
        self.assertNotEqual(tpm.child.terminate(), 0)
        vnvram("check", image)
        vnvram("resize", image, "8M")
        tpm = self.start_server(image)
        client = self.client()
        self.assertEqual(client.counter(), 1)
        self.assertGreater(areas, 1)
        self.assertEqual(client.define_area(0x1500100 + areas - 1, 1000), NV_DEFINED)
        while areas < 40:
            self.assertEqual(client.define_area(0x1500100 + areas, 1000), 0)
            areas += 1
        self.assertGreater(self.sizes_max(image)["permanent"], 40 * KIB)
        tpm.stop()
        patch.stop()
        vnvram("check", image)


class FromElsewhere(SizesCase):
    """A state that is set on the control channel is larger than what was registered here."""

    def state_of_another(self, more):
        """A TPM whose counter says 1, as its host hands it over."""
        there = self.workspace.file("there.img")
        vnvram("create", there, "--tpm2", "--size", "16M", "--ring-size", "8M")
        patch = self.other_libtpms(state_more=more)
        tpm = self.start_server(there)
        client = self.client()
        client.define_counter()
        self.assertEqual(client.increment(), 0)
        client.close()
        control = self.control(tpm)
        self.assertEqual(control.result(STOP), 0)  # So that it is what was stored.
        result, _, blob = control.get_blob(1)
        self.assertEqual(result, 0)
        tpm.stop()
        patch.stop()
        self.assertGreater(len(blob), more)
        return blob

    def test_it_is_taken_if_there_is_room(self):
        blob = self.state_of_another(300 * KIB)
        image = self.new_image()
        self.other_libtpms(state_more=300 * KIB)
        tpm = self.start_server(image)
        control = self.control(tpm)
        self.assertEqual(control.result(STOP), 0)
        self.assertEqual(control.set_blob(1, blob), 0)
        self.assertEqual(control.init(), 0)
        client = self.client()
        self.assertEqual(client.startup(), 0)
        self.assertEqual(client.counter(), 1)
        self.assertEqual(client.increment(), 0)
        self.assertGreater(self.sizes_max(image)["permanent"], 300 * KIB)
        tpm.kill()
        self.start_server(image)
        self.assertEqual(self.client().counter(), 2)
        vnvram("check", image)

    def test_it_is_refused_before_anything_changes_if_there_is_none(self):
        blob = self.state_of_another(900 * KIB)
        image = self.new_image()
        tpm = self.start_server(image)
        client = self.client()
        client.define_counter()
        for _ in range(3):
            self.assertEqual(client.increment(), 0)
        control = self.control(tpm)
        self.assertEqual(control.result(STOP), 0)
        before = self.sizes_max(image)
        self.assertEqual(control.set_blob(1, blob), BAD_SIZE)
        log = tpm.log.read_text(errors="replace")
        self.assertIn("the other side's TPM is larger than this one's", log)
        self.assertIn("vnvram resize", log)
        self.assertEqual(control.init(), 0)
        self.assertEqual(client.startup(), 0)
        self.assertEqual(client.counter(), 3)
        self.assertEqual(client.increment(), 0)
        self.assertEqual(self.sizes_max(image), before)
        tpm.stop()
        vnvram("check", image)

    def test_an_image_without_room_for_it_is_not_attached(self):
        blob = self.state_of_another(900 * KIB)
        self.other_libtpms(state_more=900 * KIB)
        image, admin = self.new_image(), self.workspace.file("admin")
        before = image.read_bytes()
        tpm = self.start(image, options=["--detached", "--tpm2", "--seccomp", "off",
                                         "--admin", f"unix:{admin}"])
        control = self.control(tpm)
        client = control.take_control()
        self.addCleanup(client.close)
        self.assertEqual(control.set_blob(1, blob), 0)
        self.assertEqual(control.init(), 0)
        done = subprocess.run([program("vnvram"), "tpm", "attach", admin], text=True, timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        self.assertEqual(done.returncode, NO_SPACE, done.stderr)
        self.assertIn("the state that was set has no room", done.stderr)
        self.assertIn("vnvram resize", done.stderr)
        self.assertTrue(self.same_blobs(image, before))
        vnvram("resize", image, "8M")
        vnvram("tpm", "attach", admin)
        self.assertEqual(client.startup(), 0)
        self.assertEqual(client.counter(), 1)
        tpm.stop()
        vnvram("check", image)

    def same_blobs(self, image, before):
        old = self.workspace.file("before.img")
        old.write_bytes(before)
        return vnvram("ls", "--json", old) == vnvram("ls", "--json", image)


if __name__ == "__main__":
    unittest.main()
