"""The first owner stands still while the second one comes, with a change on its way, and goes on."""

import os
import signal

from .pairs_case import PairsCase


def meet(case, first, take):
    first.child.send(signal.SIGSTOP)
    os.waitid(os.P_PID, first.child.pid, os.WSTOPPED)  # All of its threads.
    begun = first.begin()
    try:
        taken = take()
    finally:
        first.child.send(signal.SIGCONT)
    case.assertEqual(first.end(begun), not taken, "exactly one of two owners can commit")
    first.terminate()
    return taken


class Stopped(PairsCase):
    def test_every_pair(self):
        self.try_all_pairs(meet)


del PairsCase
