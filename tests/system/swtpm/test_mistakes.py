"""swtpm itself, started by mistake where our image is: it refuses, and changes not one byte."""

import pathlib
import shutil
import unittest

from harness.vnvram import vnvram
from tpm.support import COUNTER

from .case import SwtpmCase, loop_device
from .programs import DoesNotListen, OURS, SWTPM, content, place_options, run_states, setup

DEVICE_SIZE_BYTES = 4 << 20
STOCK = shutil.which(SWTPM)
GUARD_BYTES = 4096


class Mistakes(SwtpmCase):

    def places(self):
        """Each with a TPM of ours."""
        places = [self.new_folder(), self.new_file(0)]
        try:
            places.append(pathlib.Path(loop_device(self, self.new_file(DEVICE_SIZE_BYTES))))
        except unittest.SkipTest as skip:
            print(skip, flush=True)
        return [(place, self.make_state(place, name=OURS)) for place in places]

    def check_untouched(self, place, made, mistake):
        with self.subTest(place):
            before = content(place)
            mistake()
            self.assertEqual(content(place), before)
            self.check_facts(place, made)

    def start_stock(self, place, options=()):
        tpm = self.start(place, options, SWTPM)
        self.assertNotEqual(self.init(tpm), 0)
        tpm.kill()

    def test_it_is_started(self):
        for place, made in self.places():
            self.check_untouched(place, made, lambda place=place: self.start_stock(place))

    def test_it_is_started_without_init(self):
        for place, made in self.places():
            self.check_untouched(place, made, lambda place=place: self.start_at_once(place))

    def start_at_once(self, place):
        """It ends, once its sockets are there or before, or runs a TPM in failure mode."""
        try:
            tpm = self.start(place, ("--flags", "startup-clear"), SWTPM)
            client = tpm.client()
            self.addCleanup(client.close)
            self.assertNotEqual(client.define_area(COUNTER, 8), 0)
            tpm.kill()
        except (DoesNotListen, ConnectionError):
            pass

    def test_it_is_started_with_a_key(self):
        key = self.workspace.file("key")
        key.write_bytes(bytes(range(16)))
        options = ("--key", f"file={key},format=binary,mode=aes-128-cbc")
        for place, made in self.places():
            self.check_untouched(place, made, lambda place=place: self.start_stock(place, options))

    def test_it_is_asked_for_its_states(self):
        for place, made in self.places():
            self.check_untouched(place, made, lambda place=place: run_states(STOCK, place))

    def test_it_is_set_up(self):
        for place, made in self.places():
            state = place_options(place)[1].removeprefix("dir=").removeprefix("backend-uri=")
            def set_up(state=state):
                code, said = setup("--tpm-state", state, "--createek", "--not-overwrite",
                                   name=STOCK)
                self.assertTrue(code != 0 or "Not overwriting" in said, said)
            self.check_untouched(place, made, set_up)

    def test_a_device_is_set_up_anew(self):
        """What was asked for is a new TPM: it does not come about, and nothing but the mark that
        swtpm_setup itself zeroes has changed. Ours makes it then."""
        device = pathlib.Path(loop_device(self, self.new_file(DEVICE_SIZE_BYTES)))
        self.make_state(device, name=OURS)
        before = content(device)
        self.assertNotEqual(setup("--tpm-state", f"file://{device}", "--createek", "--overwrite",
                                  name=STOCK)[0], 0)
        after = content(device)
        self.assertEqual(after[GUARD_BYTES:], before[GUARD_BYTES:])
        self.assertIn(after[:8], (bytes(8), before[:8]))

    def test_it_is_set_up_while_ours_runs(self):
        folder = self.new_folder()
        tpm, client = self.power_on(folder)
        client.define_counter()
        client.must_increment()
        code, said = setup("--tpm-state", folder, "--createek", "--not-overwrite", name=STOCK)
        self.assertTrue(code != 0 or "Not overwriting" in said, said)
        client.must_increment()
        self.assertEqual(client.counter(), 2)
        client.close()
        tpm.stop()

    def test_ours_on_a_guarded_place_reads_as_any_image(self):
        for place, _ in self.places():
            image = place / "tpm2-00.permall" if place.is_dir() else place
            self.assertIn("tpm2.permanent", vnvram("ls", image))
            self.check_clean(image)


class States(SwtpmCase):
    """--print-states."""

    def test_ours_says_what_swtpm_says_of_its_own_states(self):
        for place in (self.new_folder(), self.new_file(0)):
            self.make_state(place, (), SWTPM, volatile=True)
            before = content(place)
            self.assertEqual(run_states(OURS, place), run_states(STOCK, place))
            self.assertEqual(content(place), before)

    def test_of_ours(self):
        for place in (self.new_folder(), self.new_file(0)):
            self.make_state(place, (), OURS, volatile=True)
            names = [state["name"] for state in run_states(OURS, place)["states"]]
            self.assertEqual(names, ["permall", "volatilestate"])

    def test_of_none(self):
        for place in (self.new_folder(), self.new_file(DEVICE_SIZE_BYTES)):
            before = content(place)
            self.assertEqual(run_states(OURS, place)["states"], [])
            self.assertEqual(content(place), before)


if __name__ == "__main__":
    unittest.main()
