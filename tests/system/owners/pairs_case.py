"""Two owners on every ordered pair of ways to one image: not both have changes acknowledged, and
what was acknowledged is there afterwards."""

import os
import shutil
import unittest

from cli.command import Case
from harness.shows_logs import ShowsLogs

from .owner import Nbdkit, Put, Tpm
from .place import KINDS, Refused

BLOBS = ("--tpm2", "--blob", "eeprom:at24c:256", "--blob", "put:test:256")


@unittest.skipUnless(os.geteuid() == 0, "makes loop devices")
class PairsCase(ShowsLogs, Case):
    """`meet` is what the second owner does to the first, and how that one ends."""

    def setUp(self):
        super().setUp()
        self.template = self.path("template")
        self.vnvram("create", self.template, *BLOBS)
        self.places = []
        self.owners = []
        self.addCleanup(self._end)

    def _end(self):
        """Whoever still runs is killed."""
        for owner in self.owners:
            owner.kill()
        self.owners.clear()
        while self.places:
            self.places.pop().close()

    def _place(self, kind):
        place = KINDS[kind](self.workspace, self.image)
        self.places.append(place)
        return place

    def _start(self, owner, place):
        place.open()
        made = owner(self.workspace, place, len(self.owners))
        self.owners.append(made)
        return made

    def pairs(self):
        """Each with its owners: every kind of owner comes first and second on the way."""
        firsts, seconds = (Nbdkit, Tpm), (Put, Nbdkit, Put, Tpm, Put)
        for number, (first, second) in enumerate((a, b) for a in KINDS for b in KINDS):
            yield first, second, firsts[number % 2], seconds[number % 5]

    def try_all_pairs(self, meet):
        both_could_open = 0
        for first_kind, second_kind, first_owner, second_owner in self.pairs():
            with self.subTest(f"{first_owner.__name__} on {first_kind}, "
                              f"{second_owner.__name__} on {second_kind}"):
                try:
                    both_could_open += self._try_pair(first_kind, second_kind, first_owner,
                                                      second_owner, meet)
                finally:
                    self._end()
        # Locks keep most of them apart; where none does, the owners have seen each other.
        self.assertGreater(both_could_open, 10)

    def _try_pair(self, first_kind, second_kind, first_owner, second_owner, meet):
        shutil.copyfile(self.template, self.image)
        with open(self.image, "rb") as image:
            os.fsync(image.fileno())
        # Loop devices are there, and in the kernel's cache, before the first owner comes.
        first_place, second_place = self._place(first_kind), self._place(second_kind)
        first = self._start(first_owner, first_place)
        self.assertTrue(first.change(), "the only owner")
        taken = meet(self, first, lambda: self._take(second_owner, second_place))
        met = list(self.owners)
        self._end()
        self.vnvram("check", self.image)
        for owner in met:
            owner.must_be_there(self, self.image)
        return taken

    def _take(self, owner, place):
        """Whether the second owner has a change acknowledged."""
        try:
            return self._start(owner, place).change()
        except Refused:
            return False
