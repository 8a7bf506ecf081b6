"""Seeded runs of TPM commands and power events, next to a small model of what a TPM owes its guest:
the counter of failed authorisations, an NV counter, the persistent state, what a resume finds.

VNVRAM_SEED=N runs one of them again.
"""

import copy
import os
import random
import struct
import unittest

from support import EMPTY_PASSWORD, SHUTDOWN, STOP, TpmCase, vnvram

SEEDS = range(1, 11)
STEPS = 40
PINNED = 0x1500010  # Its password is subject to the lock-out.
NOTES = 0x1500003
AUTH_READ_WRITE = 0x00040004
PIN, SIZE = b"1234", 8
CLEAR, STATE = 0, 1
AUTH_FAIL, LOCKED_OUT = 0x98E, 0x921
LOCKOUT_HANDLE = 0x4000000A
LOCKOUT_COUNTER, MAX_AUTH_FAIL = 0x20E, 0x20F


class Model:
    """What the TPM should say."""

    def __init__(self):
        self.failures = 0
        self.counter = 0
        self.notes = bytes(SIZE)
        self.register = bytes(32)  # A PCR that only a resume keeps.
        self.used = False  # An object that is subject to the lock-out, since the last start.
        self.shut = None  # The guest's last command was this shutdown.

    def start(self, kind):
        self.used = False
        self.shut = None
        if kind == CLEAR:
            self.register = bytes(32)


def password(pin):
    return struct.pack(">IIHBH", 9 + len(pin), 0x40000009, 0, 0, len(pin)) + pin


class Machine:
    """One machine's TPM, its guest, and the model."""

    def __init__(self, case, image, dice):
        self.case, self.image, self.dice = case, image, dice
        self.model = Model()
        self.saved = None
        self.history = []
        self.start_process()
        self.startup(CLEAR)
        self.define(PINNED, AUTH_READ_WRITE, PIN)
        self.guest.must(0x137, struct.pack(">II", PINNED, PINNED) + password(PIN)
                        + struct.pack(">H", SIZE) + bytes(SIZE) + struct.pack(">H", 0), 0x8002)
        self.model.used = True
        case.assertEqual(self.guest.define_area(NOTES, SIZE), 0)
        self.guest.write_area(NOTES, bytes(SIZE))
        self.guest.define_counter()
        self.increment()
        self.tries = self.property(MAX_AUTH_FAIL)

    # ---- Processes

    def start_process(self):
        self.tpm = self.case.start(self.image)
        self.control = self.case.control(self.tpm)
        self.guest = self.control.take_control()
        self.case.addCleanup(self.guest.close)
        self.case.assertEqual(self.control.init(), 0)

    def leave(self):
        self.guest.close()
        self.control.close()

    # ---- What the guest does

    def define(self, index, attributes, pin):
        public = struct.pack(">IHIHH", index, 0xB, attributes, 0, SIZE)
        self.guest.must(0x12A, struct.pack(">I", 0x40000001) + EMPTY_PASSWORD
                        + struct.pack(">H", len(pin)) + pin + struct.pack(">H", len(public))
                        + public, 0x8002)

    def startup(self, kind):
        code, _ = self.guest.run(0x144, struct.pack(">H", kind))
        self.case.assertEqual(code, 0, f"TPM2_Startup({kind})")
        self.model.start(kind)

    def read_pinned(self, pin):
        return self.guest.run(0x14E, struct.pack(">II", PINNED, PINNED) + password(pin)
                              + struct.pack(">HH", SIZE, 0), 0x8002)[0]

    def use(self):
        locked = self.model.failures >= self.tries
        self.case.assertEqual(self.read_pinned(PIN), LOCKED_OUT if locked else 0)
        self.model.used = self.model.used or not locked

    def use_with_a_wrong_pin(self):
        locked = self.model.failures >= self.tries
        self.case.assertEqual(self.read_pinned(b"4321"), LOCKED_OUT if locked else AUTH_FAIL)
        if not locked:
            self.model.failures += 1
            self.model.used = True

    def reset_failures(self):
        self.guest.must(0x139, struct.pack(">I", LOCKOUT_HANDLE) + EMPTY_PASSWORD, 0x8002)
        self.model.failures = 0

    def increment(self):
        self.guest.must_increment()
        self.model.counter += 1

    def write(self):
        self.model.notes = self.dice.randbytes(SIZE)
        self.guest.write_area(NOTES, self.model.notes)

    def extend(self):
        digest = self.dice.randbytes(32)
        self.guest.must(0x182, struct.pack(">I", 0) + EMPTY_PASSWORD + struct.pack(">IH", 1, 0xB)
                        + digest, 0x8002)
        self.model.register = self.read_register()

    def read_register(self):
        data = self.guest.must(0x17E, struct.pack(">IHB", 1, 0xB, 3) + b"\1\0\0")
        return data[-32:]

    def shut(self, kind):
        self.guest.must(0x145, struct.pack(">H", kind))
        self.model.shut = kind

    def property(self, which):
        data = self.guest.must(0x17A, struct.pack(">III", 6, which, 1))
        return struct.unpack(">II", data[9:17])[1]

    # ---- Power events: each ends with a TPM that is on, and not started up

    def reset(self):
        self.case.assertEqual(self.control.init(), 0)

    def stop_and_start(self):
        self.case.assertEqual(self.control.result(STOP), 0)
        self.case.assertEqual(self.control.init(), 0)

    def shut_down(self):
        """What libvirt does at a machine's end."""
        self.case.assertEqual(self.control.result(SHUTDOWN), 0)
        self.tpm.stop()
        self.leave()
        self.start_process()

    def end_in_good_order(self):
        self.tpm.stop()
        self.leave()
        self.start_process()

    def kill(self):
        self.tpm.kill()
        self.leave()
        self.start_process()
        # Nobody could shut it down: a try that was made cannot be told from one that was not.
        if self.model.shut is None and self.model.used:
            self.model.failures = min(self.model.failures + 1, self.tries)

    # ---- Snapshots: the TPM goes on where it was

    def save(self):
        blobs = [self.control.get_blob(kind) for kind in (1, 2, 3)]
        self.case.assertEqual([result for result, _, _ in blobs], [0, 0, 0])
        self.case.assertEqual(self.control.lock_storage(), 0)  # The machine goes on.
        self.saved = ([blob for _, _, blob in blobs], copy.copy(self.model))

    def load(self):
        blobs, model = self.saved
        self.case.assertEqual(self.control.result(STOP), 0)
        for kind, blob in zip((1, 2, 3), blobs):
            if blob:
                self.case.assertEqual(self.control.set_blob(kind, blob), 0)
        self.case.assertEqual(self.control.init(1), 0)
        self.model = copy.copy(model)

    # ---- Steps

    def power_event(self):
        event = self.dice.choice((self.reset, self.stop_and_start, self.shut_down,
                                  self.end_in_good_order, self.kill))
        shut = self.dice.choice((None, None, CLEAR, STATE))
        self.note(f"{event.__name__} after {('Shutdown(CLEAR)', 'Shutdown(STATE)')[shut]}"
                  if shut is not None else event.__name__)
        if shut is not None:
            self.shut(shut)
            if self.dice.random() < 0.25:
                self.note("(which is not its last command)")
                self.use()
                shut = self.model.shut = None
        event()
        # A guest that has saved its state finds it.
        self.startup(STATE if shut == STATE and self.dice.random() < 0.8 else CLEAR)

    def step(self):
        actions = [self.use] * 5 + [self.use_with_a_wrong_pin, self.increment, self.increment,
                                    self.write, self.extend, self.save]
        if self.saved:
            actions.append(self.load)
        if self.model.failures:
            actions.append(self.reset_failures)
        if self.dice.random() < 0.4:
            self.power_event()
        else:
            action = self.dice.choice(actions)
            self.note(action.__name__)
            action()
        self.compare()

    def note(self, what):
        self.history.append(what)

    def compare(self):
        model = self.model
        self.case.assertEqual(
            (self.property(LOCKOUT_COUNTER), self.guest.counter(),
             self.guest.must(0x14E, struct.pack(">II", NOTES, NOTES) + EMPTY_PASSWORD
                             + struct.pack(">HH", SIZE, 0), 0x8002)[6:6 + SIZE],
             self.read_register()),
            (model.failures, model.counter, model.notes, model.register),
            "failed authorisations, NV counter, NV area, PCR 0")


class PowerEvents(TpmCase):
    def run_seed(self, seed):
        image = self.workspace.file(f"{seed}.img")
        vnvram("create", image, "--tpm2")
        machine = Machine(self, image, random.Random(seed))
        try:
            machine.compare()
            for _ in range(STEPS):
                machine.step()
        except BaseException:
            print(f"VNVRAM_SEED={seed}: {', '.join(machine.history)}", flush=True)
            raise
        finally:
            machine.leave()
        machine.tpm.stop()
        vnvram("check", image)

    def test_a_model_agrees(self):
        seeds = [int(os.environ["VNVRAM_SEED"])] if "VNVRAM_SEED" in os.environ else SEEDS
        for seed in seeds:
            with self.subTest(seed=seed):
                self.run_seed(seed)


if __name__ == "__main__":
    unittest.main()
