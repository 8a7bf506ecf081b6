"""Who dies, and what is left: the owner, or a front end, with requests under way. Front ends that do
not wait for the next owner; of those that do, see test_restarts.py."""

import threading

import nbd

from .serve_case import ServeCase

ROUNDS = 10


class Acknowledged:
    """Counts durably in an export, on a thread of its own, until a request fails."""

    def __init__(self, client, begin):
        self._client = client
        self.last = begin
        self.thread = threading.Thread(target=self._main)
        self.thread.start()

    def _main(self):
        try:
            while True:
                self._client.pwrite((self.last + 1).to_bytes(8, "big"), 0, nbd.CMD_FLAG_FUA)
                self.last += 1
        except nbd.Error:
            pass


class Deaths(ServeCase):
    def number(self, image):
        return int.from_bytes(self.vnvram("get", image, "nvram")[:8], "big")

    def wait_for(self, counter, count):
        client = self.connect(self.server, "nvram")
        while int.from_bytes(client.pread(8, 0), "big") < count:
            self.assertTrue(counter.thread.is_alive())

    def test_nothing_acknowledged_is_lost_when_the_owner_is_killed(self):
        last = 0
        for _ in range(ROUNDS):
            self.server = self.export("reconnect=0")
            counter = Acknowledged(self.connect(self.server, "nvram"), last)
            self.wait_for(counter, last + 50)
            self.owner.kill()
            counter.thread.join()  # It is told, and does not wait for ever.
            self.must_fail(self.connect, self.server, "eeprom")
            self.server.kill()
            self.clients.clear()
            self.vnvram("check", self.image)
            self.assertIn(self.number(self.image), (counter.last, counter.last + 1))
            self.owner.start()
            last = self.number(self.owner.address)
        self.must_end_clean()

    def test_the_owner_goes_on_when_front_ends_are_killed(self):
        last = 0
        for _ in range(ROUNDS):
            self.server = self.export()
            counter = Acknowledged(self.connect(self.server, "nvram"), last)
            self.wait_for(counter, last + 50)
            self.server.kill()
            counter.thread.join()
            self.clients.clear()
            # The next one may write at once.
            self.vnvram("put", self.owner.address, "eeprom", "-", input=b"x")
            last = self.number(self.owner.address)
            self.assertIn(last, (counter.last, counter.last + 1))
        self.must_end_clean()

    def test_sigterm_finishes_what_is_under_way(self):
        self.server = self.export("reconnect=0")
        counter = Acknowledged(self.connect(self.server, "nvram"), 0)
        self.wait_for(counter, 50)
        self.owner.stop()
        counter.thread.join()
        self.must_be_clean()
        self.assertIn(self.number(self.image), (counter.last, counter.last + 1))
