"""The first owner is ended in good order when the second one has come: it must not write over what
the other one has done."""

from .pairs_case import PairsCase


def meet(case, first, take):
    taken = take()
    if not taken:
        case.assertTrue(first.change(), "exactly one of two owners can commit")
    first.terminate()  # Its last words are written now, if they are not refused.
    return taken


class Ended(PairsCase):
    def test_every_pair(self):
        self.try_all_pairs(meet)


del PairsCase
