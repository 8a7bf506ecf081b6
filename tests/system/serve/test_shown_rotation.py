"""Who exchanges the data key at a terminal sees how far it has come, be it of an image or by its owner."""

import re

from cli.command import MIB, OK, Case
from harness.memory_disk import MemoryDisk
from harness.owner_process import OwnerProcess
from harness.shows_logs import ShowsLogs
from harness.terminal import Terminal
from harness.tpm_process import program

SIZE = 64 * MIB  # Less than that takes no time worth showing.
WRITE = 6000  # Somewhere in the middle: some 10,000 overwrite what was there.


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
