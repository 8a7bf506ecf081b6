"""Rounds of a machine that writes a UEFI variable for ever, and of a sudden end."""

import os
import random
import time

from .qemu import complaints_of, values_of
from .uefi_case import BOOT_PATIENCE_SECONDS, UefiCase


class KilledCase(UefiCase):
    """Each round's boot reads what the last one has left.

    The application counts in a variable, stores each number in its own way (efi/variables.c), reads
    it back, and only then reports it. It says so when what is stored is a mixture.
    """

    policy = ()  # Options of the server; by default a write is durable 10 ms after it was answered.
    # What was reported longer ago than this must be there, in seconds. The contract says 10 ms; the
    # rest is for a busy host.
    bound = 1.0

    def setUp(self):
        super().setUp()
        seed = int(os.environ.get("VNVRAM_SEED", random.randrange(1 << 32)))
        print(f"VNVRAM_SEED={seed}", flush=True)
        self.random = random.Random(seed)
        self.lowest = self.highest = 0  # What the variable may be now.
        self.kills = 0

    def start_round(self):
        """A machine that has only just been switched on."""
        server = self.serve(None, *self.policy)
        return server, self.start_application(server, "read n", "count n")

    def read_variable(self, qemu):
        """Waits for the firmware's start; what it finds in the variable has to be right."""
        found = qemu.record.expect(rb"started\n(?:n=(\d+)|n (absent)|!.*)\n", BOOT_PATIENCE_SECONDS)
        self.assertTrue(found.group(1) or found.group(2), found.group(0))
        value = int(found.group(1) or 0)
        self.assertGreaterEqual(value, self.lowest, "what was acknowledged is lost")
        self.assertLessEqual(value, self.highest, "a value that was never written")
        if self.kills:
            print(f"boot {self.kills + 1}: {value} found", flush=True)
        self.lowest = self.highest = value

    def kill(self, server, qemu):
        """SIGKILL to both, one a bit before the other."""
        server_first = self.random.random() < 0.5
        pause = self.random.choice((0, self.random.uniform(0, 0.02)))
        moment = time.monotonic()
        if server_first:
            reported = qemu.record.content_at(moment)
            server.kill()
            time.sleep(pause)
            record = qemu.kill()
        else:
            record = reported = qemu.kill()
            time.sleep(pause)
            server.kill()
        self.kills += 1
        self.assertEqual(complaints_of(record), [])
        if "sync=always" not in self.policy:
            reported = qemu.record.content_at(moment - self.bound)
        # Reports after the server's death were true only for QEMU's memory.
        self.lowest = max([self.lowest, *values_of(reported)])
        self.highest = max([self.highest, *(value + 1 for value in values_of(record))])
        self.check()
        print(f"kill {self.kills}: {'server' if server_first else 'QEMU'} first, "
              f"{pause * 1000:.1f} ms apart; {len(values_of(record))} writes acknowledged, "
              f"{self.lowest} to {self.highest} allowed", flush=True)

    def kill_while_booting(self):
        """Anywhere in the firmware's own start, which writes variables, too."""
        server, qemu = self.start_round()
        time.sleep(self.random.uniform(0.2, 3))
        self.highest += 1  # It may have come as far as that.
        self.kill(server, qemu)

    def kill_while_counting(self):
        server, qemu = self.start_round()
        self.read_variable(qemu)
        for _ in range(self.random.randint(1, 8)):
            qemu.record.expect(rb"<\d+:\d+>\n")
        # Any instant within a write, not always the one right after a report.
        time.sleep(self.random.uniform(0, 0.1))
        self.kill(server, qemu)

    def last_boot(self):
        """Whatever the last kill has left, the machine starts, and stores what it is told to."""
        server, qemu = self.start_round()
        self.read_variable(qemu)
        qemu.record.expect(rb"<\d+:\d+>\n")
        # Not by `quit` in the middle of a write: QEMU 7.2 holds the drive back before it has stopped
        # the CPU, and they wait for each other.
        qemu.kill()
        server.stop()
        self.check()
