"""Who exchanges the data key at a terminal sees how far it has come, be it of an image or by its owner."""

import contextlib
import re
import socket
import threading

from cli.command import MIB, OK, Case
from harness.memory_disk import MemoryDisk
from harness.owner_process import OwnerProcess
from harness.shows_logs import ShowsLogs
from harness.terminal import Terminal
from harness.tpm_process import program

SIZE = 64 * MIB  # Less than that takes no time worth showing.
WRITE = 6000  # Somewhere in the middle: some 10,000 overwrite what was there.


class HangingOwner:
    """In front of an owner. The second session has no answer to what it asks, and what the first asks goes on then."""

    def __init__(self, path, owner):
        self._owner = owner
        self._asked = threading.Event()
        self.address = f"unix:{path}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._sockets = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._asked.set()
        for each in self._sockets:
            each.close()

    def _accept(self):
        for hangs in (False, True):
            client, _ = self._listener.accept()
            owner = socket.socket(socket.AF_UNIX)
            self._sockets += [client, owner]
            owner.connect(self._owner.removeprefix("unix:"))
            threading.Thread(target=self._pass_questions, args=(client, owner, hangs), daemon=True).start()
            threading.Thread(target=self._pass_answers, args=(client, owner), daemon=True).start()

    def _pass_questions(self, client, owner, hangs):
        with contextlib.suppress(OSError):
            owner.sendall(client.recv(1 << 16))  # With which a session begins.
            while question := client.recv(1 << 16):
                if hangs:
                    self._asked.set()
                    continue
                self._asked.wait()
                owner.sendall(question)

    @staticmethod
    def _pass_answers(client, owner):
        with contextlib.suppress(OSError):
            while answer := owner.recv(1 << 16):
                client.sendall(answer)


class ShownRotation(ShowsLogs, Case):
    def setUp(self):
        super().setUp()
        self.key = ("--key", f"file:{self.file('host.key', b'the key of this host, which nobody guesses')}")
        self.create("--size", SIZE, "--encrypt", *self.key)
        self.disk = MemoryDisk(self.workspace, self.image.read_bytes())
        self.addCleanup(self.disk.close)

    def rotate(self, *words, while_it_is_held=lambda: None):
        """It is held in the middle until it is seen how far it is."""
        self.disk.hold_at(WRITE)
        command = Terminal(program("vnvram"), "key", "rotate", *words)
        self.addCleanup(command.kill)
        self.addCleanup(self.disk.go_on)
        shown = re.compile(rb"\rrotate: +[1-9][0-9]? %\x1b\[K")
        command.wait_until(shown.search, "how far it is")
        while_it_is_held()
        self.disk.go_on()
        said, status = command.end()
        self.assertEqual(status, OK, said)
        self.assertTrue(self.disk.has_happened())
        # Nothing of that is left in the terminal's last lines.
        self.assertRegex(said, rb'\r\x1b\[Kopens it: slot 0: key\b[^%]*$')

    def test_of_an_image(self):
        self.rotate(self.disk.uri, *self.key)

    def test_by_its_owner(self):
        owner = OwnerProcess(self.workspace, self.disk.uri, *self.key)
        self.addCleanup(owner.kill)

        def look():
            exchange = self.json("status", owner.address)["key_exchange"]
            self.assertGreater(exchange["all_bytes"], exchange["done_bytes"])
            self.assertIn(b"data key:    is being exchanged, ", self.vnvram("status", owner.address))

        self.assertNotIn("key_exchange", self.json("status", owner.address))
        self.rotate(owner.address, while_it_is_held=look)
        self.assertNotIn("key_exchange", self.json("status", owner.address))
        self.vnvram("check", owner.address)
        owner.stop()

    def test_by_an_owner_that_does_not_say_how_far_it_is(self):
        owner = OwnerProcess(self.workspace, self.image, *self.key)
        self.addCleanup(owner.kill)
        hanging = HangingOwner(self.workspace.file("hanging"), owner.address)
        self.addCleanup(hanging.close)
        command = Terminal(program("vnvram"), "key", "rotate", hanging.address)
        self.addCleanup(command.kill)
        command.wait_until(lambda said: b"opens it: slot 0" in said, "who opens it")
        said, status = command.end()
        self.assertEqual(status, OK, said)
        owner.stop()
