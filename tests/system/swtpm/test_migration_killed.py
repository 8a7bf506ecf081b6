"""A machine leaves one program of ours and goes to another one on the same place, and one of them is killed at
some stage: the other one goes on, or a new one does, with all that was answered. With VNVRAM_LONG_TESTS=1 in the
environment each is killed at each stage seventeen times."""

import contextlib
import itertools
import os
import time
import unittest

from tpm.support import STOP

from .case import SwtpmCase
from .test_migration import INCOMING, OUTGOING, SAVED
from .test_wire import AS_STORED, PERMANENT, VOLATILE, NoBlob, get_blob, set_blob

TURNS = 17 if os.environ.get("VNVRAM_LONG_TESTS") else 1
KINDS = PERMANENT, VOLATILE, SAVED
# Each has happened when somebody is killed; with "powers on" it is under way.
STAGES = ("first fetched", "second fetched", "all fetched", "stopped", "first set", "all set", "powers on", "is on",
          "has counted")
INIT = bytes([0, 0, 0, 2, 0, 0, 0, 1])


class Host:
    """A program, and what a machine has of it."""

    def __init__(self, case, place, options):
        self.case, self.tpm = case, case.start(place, options)
        self.control = case.control(self.tpm)
        self.commands = None

    def connect(self):
        if self.commands is None:
            self.commands = self.tpm.client()
            self.case.addCleanup(self.commands.close)
        return self.commands

    def power_on(self):
        self.case.assertEqual(self.control.init(), 0, self.tpm.log_text())
        self.case.assertEqual(self.connect().startup(), 0)
        return self

    def kill(self):
        for connection in filter(None, (self.control, self.commands)):
            connection.close()
        self.tpm.kill()


class MigrationKilled(SwtpmCase):
    def setUp(self):
        super().setUp()
        self.place = self.new_folder()
        self.here = self.new_machine()
        self.here.commands.define_counter()
        self.here.commands.must_increment()
        self.count = self.here.commands.counter()

    def new_machine(self):
        """As a manager starts it, also one that was lost."""
        return Host(self, self.place, OUTGOING).power_on()

    def must_go_on(self, host):
        self.must_count(host)
        self.here = host

    def must_count(self, host):
        commands = host.connect()
        self.assertEqual(commands.counter(), self.count)
        commands.must_increment()
        self.count += 1

    def migrate(self, there):
        """As QEMU does it. Each stage is said when it is reached."""
        blobs = []
        for kind, stage in zip(KINDS, STAGES[:3]):
            with contextlib.suppress(NoBlob):
                blobs.append((kind, *get_blob(self.here.control, kind, AS_STORED)))
            yield stage
        self.assertEqual(there.control.result(STOP), 0)
        yield "stopped"
        for number, blob in enumerate(blobs):
            self.assertEqual(set_blob(there.control, *blob), 0)
            if number == 0:
                yield "first set"
        yield "all set"
        there.control.sock.sendall(INIT)
        yield "powers on"
        self.assertEqual(there.control.sock.recv(4), bytes(4), there.tpm.log_text())
        yield "is on"
        self.must_count(there)
        yield "has counted"

    def source_is_killed(self, there, stage, rest):
        """A QEMU that has all of the state goes on with it."""
        self.here.kill()
        if STAGES.index(stage) < STAGES.index("all fetched"):
            there.kill()
            self.must_go_on(self.new_machine())
            return
        self.assertEqual(list(rest), list(STAGES[STAGES.index(stage) + 1:]))
        self.must_go_on(there)

    def target_is_killed(self, there, stage, _):
        here = self.here
        there.kill()
        if here.control.lock_storage() == 0:
            self.assertNotEqual(stage, "has counted")
            self.must_go_on(here)
            return
        self.assertGreaterEqual(STAGES.index(stage), STAGES.index("powers on"))
        self.assertNotEqual(here.commands.increment(), 0)
        here.kill()
        self.must_go_on(self.new_machine())

    def test_either_of_them_at_each_stage(self):
        for turn, stage, killed in itertools.product(range(TURNS), STAGES, (self.source_is_killed,
                                                                          self.target_is_killed)):
            with self.subTest(turn=turn, stage=stage, killed=killed.__name__):
                there = Host(self, self.place, INCOMING)
                rest = self.migrate(there)
                self.assertIn(stage, rest)  # It has gone on until that.
                if stage == "powers on":
                    time.sleep(turn % 10 * 0.001)  # Random, not for synchronisation.
                killed(there, stage, rest)
        self.here.kill()
        self.check_clean(self.place / "tpm2-00.permall")


if __name__ == "__main__":
    unittest.main()
