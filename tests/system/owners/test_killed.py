"""The first owner is killed when the second one has come."""

from .pairs_case import PairsCase


def meet(case, first, take):
    taken = take()
    for _ in range(2):
        case.assertEqual(first.change(), not taken, "exactly one of two owners can commit")
    first.child.kill()
    return taken


class Killed(PairsCase):
    def test_every_pair(self):
        self.try_all_pairs(meet)


del PairsCase
