"""A folder with our image in it, from the first start on, and what keeps others out of it."""

import fcntl
import random
import signal
import struct
import threading
import unittest

from harness.vnvram import vnvram
from tpm.support import COUNTER

from . import facts
from .case import FAILED, SwtpmCase
from .programs import OURS, content

IMAGE = "tpm2-00.permall"
SIZE_MAX_BYTES = 3 << 19
WHOLE_FILE_LOCK = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
KILLS = 12


class Folder(SwtpmCase):

    def test_a_new_tpm_is_there_after_restarts(self):
        folder = self.new_folder()
        made = self.make_state(folder, name=OURS)
        self.assertEqual([path.name for path in folder.iterdir() if path.name != ".lock"], [IMAGE])
        self.assertLessEqual((folder / IMAGE).stat().st_size, SIZE_MAX_BYTES)
        self.check_facts(folder, made)
        self.check_facts(folder, made)
        self.assertIn("tpm2.permanent", vnvram("ls", folder / IMAGE))
        self.check_clean(folder / IMAGE)

    def test_volatile_state_is_resumed(self):
        folder = self.new_folder()
        made = self.make_state(folder, name=OURS, volatile=True)
        tpm, client = self.power_on(folder, starts_up=False)
        self.assertEqual(facts.facts(client), made)
        tpm.stop()

    def test_an_init_may_read_volatile_state_for_the_last_time(self):
        folder = self.new_folder()
        made = self.make_state(folder, name=OURS, volatile=True)
        tpm = self.start(folder)
        self.assertEqual(self.init(tpm, 1), 0)
        client = tpm.client()
        self.assertEqual(facts.facts(client), made)
        client.close()
        tpm.kill()
        tpm, client = self.power_on(folder)
        self.assertEqual(facts.lasting(facts.facts(client)), facts.lasting(made))
        self.assertNotEqual(facts.register(client), made[2])

    def test_nothing_acknowledged_is_lost(self):
        seed = random.randrange(1 << 32)
        print(f"seed {seed}", flush=True)
        moments = random.Random(seed)
        folder = self.new_folder()
        self.make_state(folder, name=OURS)
        acknowledged = 3
        for _ in range(KILLS):
            tpm, client = self.power_on(folder)
            value = client.counter()
            self.assertIn(value, (acknowledged, acknowledged + 1), f"seed {seed}")
            client.must_increment()
            acknowledged = value + 1
            killer = threading.Timer(moments.uniform(0.0, 0.06), tpm.child.send, [signal.SIGKILL])
            killer.start()
            acknowledged += increments_until_it_ends(client)
            killer.join()
            tpm.kill()
        self.check_clean(folder / IMAGE)

    def test_a_second_one_is_refused(self):
        folder = self.new_folder()
        tpm, client = self.power_on(folder)
        client.define_counter()
        client.must_increment()
        before = content(folder)
        other = self.start(folder)
        self.assertEqual(self.init(other), FAILED)
        self.assertIn("has its state", other.log_text())
        other.stop()
        self.assertEqual(content(folder), before)
        client.must_increment()
        self.assertEqual(client.counter(), 2)
        client.close()
        tpm.stop()

    def test_it_is_refused_where_swtpm_has_the_lock(self):
        folder = self.new_folder()
        made = self.make_state(folder, name=OURS)
        with open(folder / ".lock", "r+b") as lock:
            fcntl.fcntl(lock, fcntl.F_SETLK, WHOLE_FILE_LOCK)
            self.check_refuses(folder, says="has its state")
        self.check_facts(folder, made)

    def test_it_starts_once_the_other_one_has_gone(self):
        folder = self.new_folder()
        tpm, client = self.power_on(folder)
        client.define_counter()
        other = self.start(folder)
        self.assertEqual(self.init(other), FAILED)
        client.close()
        tpm.stop()
        self.assertEqual(self.init(other), 0)
        client = other.client()
        self.addCleanup(client.close)
        self.assertEqual(client.startup(), 0)
        client.must_increment()

    def test_a_folder_that_comes_later(self):
        folder = self.new_folder()
        tpm = self.start(folder)
        folder.rmdir()
        self.assertEqual(self.init(tpm), FAILED)
        self.assertIn("there is no such folder", tpm.log_text())
        folder.mkdir()
        self.assertEqual(self.init(tpm), 0)

    def test_what_is_no_state_is_refused(self):
        for name, garbage in (("empty", b""), ("short", b"\2"), ("zeros", bytes(6000)),
                              ("garbage", random.Random(1).randbytes(6000)),
                              ("a VM image", b"QFI\xfb\0\0\0\3" + bytes(200 << 10)),
                              ("cut", b"\2\1\0\x0a\0\0\0\0\x20\0" + bytes(100))):
            with self.subTest(name):
                folder = self.new_folder()
                (folder / IMAGE).write_bytes(garbage)
                self.check_refuses(folder, says=IMAGE)

    def test_a_damaged_image_is_refused(self):
        folder = self.new_folder()
        self.make_state(folder, name=OURS)
        whole = (folder / IMAGE).read_bytes()
        (folder / IMAGE).write_bytes(bytes(64 << 10) + whole[64 << 10:])
        self.check_refuses(folder, says=IMAGE)


def increments_until_it_ends(client):
    count = 0
    try:
        while client.increment(COUNTER) == 0:
            count += 1
    except OSError:
        pass
    return count


if __name__ == "__main__":
    unittest.main()
