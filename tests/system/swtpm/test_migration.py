"""Two programs of ours on one place, of which a machine leaves one and goes to the other."""

import subprocess
import unittest

from harness.child import PATIENCE_SECONDS
from harness.tpm_process import program
from harness.vnvram import create
from tpm.support import STOP

from . import facts
from .case import FAILED, SwtpmCase
from .programs import OURS, SWTPM, place_options
from .test_wire import AS_STORED, PERMANENT, VOLATILE, NoBlob, get_blob, set_blob

SAVED = 3
STORE_VOLATILE = 0x0A
NO_SUCH_STATE = 0x800
OUTGOING = ("--migration", "release-lock-outgoing")
INCOMING = ("--migration", "release-lock-outgoing,incoming")


class Migration(SwtpmCase):

    def start_source(self, place, options=OUTGOING):
        """A TPM in use, and the connections of its machine; its facts are made."""
        self.source, self.commands = self.power_on(place, options)
        self.made = facts.make(self.commands)
        self.machine = self.control(self.source)

    def fetch(self):
        """As QEMU does it."""
        return {kind: self.fetch_one(kind) for kind in (PERMANENT, VOLATILE, SAVED)}

    def fetch_one(self, kind):
        try:
            return get_blob(self.machine, kind, AS_STORED)
        except NoBlob as error:
            self.assertEqual(error.args[0] & NO_SUCH_STATE, NO_SUCH_STATE)
            return 0, b""

    def take(self, tpm, blobs):
        """As QEMU does it. Returns the first result that is no success, or 0."""
        control = self.control(tpm)
        if result := control.result(STOP):
            return result
        for kind, (flags, blob) in blobs.items():
            if blob and (result := set_blob(control, kind, flags, blob)):
                return result
        return control.init(1)

    def test_a_machine_moves(self):
        for place in [self.new_folder(), self.new_file(0)]:
            with self.subTest(place.name):
                self.check_moves(place)

    def check_moves(self, place):
        self.start_source(place)
        target = self.start(place, INCOMING)
        blobs = self.fetch()
        self.assertEqual(self.take(target, blobs), 0, target.log_text())
        client = target.client()
        self.assertEqual(facts.facts(client), self.made)
        client.must_increment()
        for log, words in ((self.source.log_text(), "is detached"), (target.log_text(), "is attached")):
            self.assertRegex(log, rf"{words}, generation [0-9]+\n")
        # Whatever the one that was left is told now, the state is not its own.
        self.assertNotEqual(self.commands.increment(), 0)
        self.assertEqual(self.machine.lock_storage(), FAILED)
        self.assertNotEqual(self.commands.increment(), 0)
        client.must_increment()
        self.assertEqual(client.counter(), self.made[0] + 2)
        client.close()
        target.stop()
        self.check_source_is_stale(place)

    def test_what_is_stored_after_the_state_has_gone_is_on_the_image(self):
        place = self.new_folder()
        self.start_source(place)
        self.fetch()
        self.assertEqual(self.machine.result(STORE_VOLATILE), 0)
        self.commands.close()
        self.machine.close()
        self.source.kill()
        self.assertIn("volatilestate", self.states(place))

    @staticmethod
    def states(place):
        return subprocess.run([OURS, "socket", "--tpm2", "--print-states", *place_options(place)], text=True,
                              stdout=subprocess.PIPE, check=True, timeout=PATIENCE_SECONDS).stdout

    def test_a_sealed_image_is_not_powered_on(self):
        place = self.new_folder()
        self.start_source(place)
        self.commands.close()
        self.machine.close()
        self.source.stop()
        subprocess.run([str(program("vnvram")), "seal", str(place / "tpm2-00.permall")], check=True,
                       timeout=PATIENCE_SECONDS)
        tpm = self.start(place)
        self.assertEqual(self.init(tpm), FAILED)
        self.assertIn("sealed", tpm.log_text())
        tpm.stop()

    def test_an_image_that_both_see_moves(self):
        image = create(self.workspace.file("shared.img"), "--tpm2")
        self.check_moves(["--tpmstate", f"backend-uri=vnvram:{image}"])

    def check_source_is_stale(self, place):
        """The place is free again, but another one has written there."""
        self.assertNotEqual(self.commands.increment(), 0)
        self.assertNotEqual(self.machine.lock_storage(), 0)
        self.assertNotEqual(self.commands.increment(), 0)
        self.machine.close()
        self.commands.close()
        self.source.stop()
        _, client = self.power_on(place)
        self.assertEqual(client.counter(), self.made[0] + 2)

    def test_it_goes_on_where_it_was(self):
        """A migration that did not come about."""
        for says_so in (True, False):
            for place in (self.new_folder(), self.new_file(0)):
                with self.subTest(f"{place.name}, {says_so}"):
                    self.check_goes_on(place, says_so)

    def check_goes_on(self, place, says_so):
        self.start_source(place)
        self.fetch()
        if says_so:
            self.assertEqual(self.machine.lock_storage(), 0)
            self.check_has(place)
        self.commands.must_increment()
        self.check_has(place)
        self.assertEqual(facts.facts(self.commands)[1:], self.made[1:])
        self.source.kill()
        _, client = self.power_on(place)
        self.assertEqual(client.counter(), self.made[0] + 1)

    def check_has(self, place):
        """Nobody else gets it."""
        other = self.start(place)
        self.assertEqual(self.init(other), FAILED)
        other.kill()

    def test_it_moves_again_after_it_went_on(self):
        place = self.new_folder()
        self.start_source(place)
        self.fetch()
        self.commands.must_increment()
        blobs = self.fetch()
        target = self.start(place, INCOMING)
        self.assertEqual(self.take(target, blobs), 0)
        client = target.client()
        self.assertEqual(client.counter(), self.made[0] + 1)
        client.close()

    def test_a_target_that_did_not_start_leaves_it_to_the_source(self):
        place = self.new_folder()
        self.start_source(place)
        blobs = self.fetch()
        target = self.start(place, INCOMING)
        control = self.control(target)
        flags, blob = blobs[PERMANENT]
        self.assertEqual(set_blob(control, PERMANENT, flags, blob), 0)
        self.assertEqual(self.machine.lock_storage(), FAILED)
        control.close()
        target.kill()
        self.assertEqual(self.machine.lock_storage(100), 0)
        self.commands.must_increment()
        self.assertEqual(self.commands.counter(), self.made[0] + 1)

    def test_the_target_waits_until_the_state_has_left(self):
        place = self.new_folder()
        self.start_source(place)
        target = self.start(place, INCOMING)
        self.assertEqual(self.init(target), FAILED)
        blobs = {kind: get_blob(self.machine, kind, AS_STORED) for kind in (PERMANENT, VOLATILE)}
        self.assertEqual(self.take(target, blobs), FAILED)
        self.fetch()
        self.assertEqual(self.take(target, blobs), 0)

    def test_without_the_option_it_stays(self):
        place = self.new_folder()
        self.start_source(place, ())
        blobs = self.fetch()
        target = self.start(place, INCOMING)
        self.assertEqual(self.take(target, blobs), FAILED)
        self.commands.must_increment()
        self.check_has(place)

    def test_a_host_with_swtpm_gives_and_takes(self):
        """Without shared storage: a folder on each host."""
        tpm, client = self.power_on(self.new_folder(), (), SWTPM)
        self.made = facts.make(client)
        client.close()
        self.machine = self.control(tpm)
        blobs = self.fetch()
        self.machine.close()
        tpm.kill()
        ours = self.start(self.new_folder(), INCOMING)
        self.assertEqual(self.take(ours, blobs), 0)
        client = ours.client()
        self.assertEqual(facts.facts(client), self.made)
        client.must_increment()
        client.close()
        self.machine = self.control(ours)
        blobs = self.fetch()
        self.machine.close()
        theirs = self.start(self.new_folder(), (), SWTPM)
        self.assertEqual(self.take(theirs, blobs), 0)
        client = theirs.client()
        self.assertEqual(client.counter(), self.made[0] + 1)
        client.close()


if __name__ == "__main__":
    unittest.main()
