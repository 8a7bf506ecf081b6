"""Takeovers that are cut by SIGKILL before each of their steps: either swtpm's state is whole, or
ours is."""

import unittest

from . import facts
from .cut import FIRST, STEPS, CutCase
from .programs import SWTPM, content

IMAGE = "tpm2-00.permall"
KEPT = {"tpm2-00.permall.swtpm", "tpm2-00.volatilestate.swtpm"}
# Most writes of a folder's are to a file that has no name yet.
WRITES_STEP = 5


class KilledTakeover(CutCase):

    def cuts(self, whole, steps):
        """Copies of the place, each of which was cut."""
        for call in STEPS:
            for number in range(FIRST.get(call, 1), 1000, steps.get(call, 1)):
                place = self.copy(whole)
                if not self.cut(place, call, number):
                    break
                yield f"before {call} {number}", place

    def check_cuts(self, whole, steps):
        """Returns how many there were."""
        made = self.make_state(whole, (), SWTPM, volatile=True)
        count = 0
        for count, (when, place) in enumerate(self.cuts(whole, steps), 1):
            with self.subTest(when):
                self.check_cut(place, made)
        return count

    def check_cut(self, place, made):
        self.check_stock(place, facts.facts, made)
        tpm, client = self.power_on(place, starts_up=False)
        self.assertEqual(facts.facts(client), made)
        client.close()
        tpm.stop()
        if place.is_dir():
            self.assertEqual(set(content(place)), {IMAGE} | KEPT)
            self.assertEqual({path.name for path in place.iterdir()}, {IMAGE, ".lock"} | KEPT)
        self.check_facts(place, made)

    def test_in_a_folder(self):
        self.assertGreater(self.check_cuts(self.new_folder(), {"pwritev2": WRITES_STEP}), 15)

    def test_in_a_file(self):
        self.assertGreater(self.check_cuts(self.new_file(0), {}), 20)


if __name__ == "__main__":
    unittest.main()
