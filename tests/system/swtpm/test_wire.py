"""State blobs as they travel, between swtpm and ours: every combination of keys."""

import struct
import subprocess
import unittest

from tpm.support import CONFIG, GET_BLOB, INIT, SET_BLOB, STOP, receive

from . import facts
from .case import SwtpmCase
from .programs import OURS, SWTPM

PERMANENT, VOLATILE = 1, 2
AS_STORED, DECRYPTED = 0, 1
PROGRAMS = (SWTPM, OURS)
# Whether there is a key for the state, and one for migrations.
COMBINATIONS = ((False, False), (False, True), (True, False), (True, True))


class NoBlob(Exception):
    """The result."""


def get_blob(control, kind, flags):
    """Returns the flags of what comes, and that."""
    control.sock.sendall(struct.pack(">IIII", GET_BLOB, flags, kind, 0))
    result, came_with, total, length = struct.unpack(">IIII", receive(control.sock, 16))
    blob = receive(control.sock, length)
    while len(blob) < total:
        control.sock.sendall(struct.pack(">IIII", GET_BLOB, flags, kind, len(blob)))
        _, came_with, _, length = struct.unpack(">IIII", receive(control.sock, 16))
        blob += receive(control.sock, length)
    if result != 0:
        raise NoBlob(result)
    return came_with, blob


def set_blob(control, kind, flags, blob):
    return control.result(SET_BLOB, struct.pack(">III", flags, kind, len(blob)) + blob)


class Wire(SwtpmCase):

    def setUp(self):
        super().setUp()
        for name, first in (("state", 0), ("migration", 50), ("other", 100)):
            self.workspace.file(name).write_bytes(bytes(range(first, first + 32)))

    def options(self, combination, state_key="state", migration_key="migration"):
        words = []
        for option, name, there in zip(("--key", "--migration-key"), (state_key, migration_key),
                                       combination):
            if there:
                file = self.workspace.file(name)
                words += [option, f"file={file},format=binary,mode=aes-256-cbc"]
        return words

    def sent(self, name, combination):
        """By one that runs: {flags asked for: [(kind, flags that come, bytes)]}, and its facts."""
        tpm, client = self.power_on(self.new_folder(), self.options(combination), name)
        made = facts.make(client)
        client.close()
        control = self.control(tpm)
        blobs = {flags: [(kind, *get_blob(control, kind, flags)) for kind in (PERMANENT, VOLATILE)]
                 for flags in (AS_STORED, DECRYPTED)}
        control.close()
        tpm.kill()
        return blobs, made

    def taken(self, tpm, control, blobs, made):
        """The first result that is no success, or 0; then the facts are those that were made."""
        self.assertEqual(control.result(STOP), 0)
        for kind, flags, blob in blobs:
            if result := set_blob(control, kind, flags, blob):
                return result
        if result := control.result(INIT, struct.pack(">I", 1)):
            return result
        client = tpm.client()
        self.assertEqual(facts.facts(client), made)
        client.close()
        return 0

    def test_every_combination_is_taken_or_refused_as_by_swtpm(self):
        sent = {(name, combination): self.sent(name, combination)
                for combination in COMBINATIONS for name in PROGRAMS}
        for combination in COMBINATIONS:
            theirs, ours = (sent[name, combination][0] for name in PROGRAMS)
            for flags in (AS_STORED, DECRYPTED):
                self.assertEqual([(kind, came_with) for kind, came_with, _ in theirs[flags]],
                                 [(kind, came_with) for kind, came_with, _ in ours[flags]])
                # Around the state there is the same.
                for of_theirs, of_ours in zip(theirs[flags], ours[flags]):
                    self.assertEqual(of_theirs[2][:6], of_ours[2][:6])
        successes = 0
        for combination in COMBINATIONS:
            tpms = {name: self.start(self.new_folder(), self.options(combination), name)
                    for name in PROGRAMS}
            controls = {name: self.control(tpm) for name, tpm in tpms.items()}
            for (sender, of_sender), (blobs, made) in sent.items():
                for flags in (AS_STORED, DECRYPTED):
                    theirs, ours = (self.taken(tpms[name], controls[name], blobs[flags], made)
                                    for name in PROGRAMS)
                    with self.subTest(f"{sender} {of_sender} {flags} to {combination}"):
                        self.assertEqual(ours, theirs)
                    successes += ours == 0
            for name in PROGRAMS:
                controls[name].close()
                tpms[name].kill()
        self.assertGreater(successes, 20)

    def test_other_keys_are_refused_as_by_swtpm(self):
        blobs, made = self.sent(OURS, (True, True))
        for keys in ({"state_key": "other"}, {"migration_key": "other"}):
            results = []
            for name in PROGRAMS:
                tpm = self.start(self.new_folder(), self.options((True, True), **keys), name)
                results.append(self.taken(tpm, self.control(tpm), blobs[AS_STORED], made))
                tpm.kill()
            self.assertNotEqual(results[0], 0)
            self.assertEqual(results[0], results[1], keys)

    def test_configuration(self):
        for combination in COMBINATIONS:
            replies = []
            for name in PROGRAMS:
                tpm = self.start(self.new_folder(), self.options(combination), name)
                replies.append(self.control(tpm).ask(CONFIG, b"", 8))
                tpm.kill()
            self.assertEqual(replies[0], replies[1])
            self.assertEqual(replies[1][1][-1], combination[0] | combination[1] << 1)

    def test_swtpms_own_client_carries_it(self):
        for sender, taker in ((SWTPM, OURS), (OURS, SWTPM)):
            for combination in COMBINATIONS:
                with self.subTest(f"{sender} to {taker}, {combination}"):
                    self.carry(sender, taker, self.options(combination))

    def carry(self, sender, taker, options):
        files = {kind: self.workspace.file(kind) for kind in ("permanent", "volatile")}
        tpm, client = self.power_on(self.new_folder(), options, sender)
        made = facts.make(client)
        client.close()
        for kind, file in files.items():
            file.unlink(missing_ok=True)
            swtpm_ioctl(tpm, "--save", kind, file)
        tpm.kill()
        tpm = self.start(self.new_folder(), options, taker)
        for kind, file in files.items():
            swtpm_ioctl(tpm, "--load", kind, file)
        swtpm_ioctl(tpm, "-i")
        client = tpm.client()
        self.assertEqual(facts.facts(client), made)
        client.close()
        tpm.kill()


def swtpm_ioctl(tpm, *words):
    subprocess.run(["swtpm_ioctl", "--unix", tpm.control, *words], check=True,
                   stdin=subprocess.DEVNULL, timeout=60)


if __name__ == "__main__":
    unittest.main()
