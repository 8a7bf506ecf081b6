"""Clients that count, and never may see an older number than one that they have written."""

import os
import struct
import threading

from harness.child import PATIENCE_SECONDS
from nbdkit.counting_client import RECORD_BYTES, CountingClient, content_after, record_of
from nbdkit.raw_nbd_client import RawNbdClient

PLACES_BYTES = len(content_after(1))
FLUSH_EVERY = 64


def number_of(content):
    """The number up to which it is what a counting client has written, in order: nothing of a later
    one, nothing of an earlier one missing."""
    newest = max(struct.unpack(">Q", content[at:at + 8])[0]
                 for at in range(0, PLACES_BYTES, RECORD_BYTES))
    if content[:PLACES_BYTES] != content_after(newest):
        raise AssertionError(f"not what there was at any moment, up to number {newest}")
    return newest


class DurableClient(CountingClient):
    """Each number is durable when it counts."""

    def __init__(self, path, export):
        super().__init__(path, export, PATIENCE_SECONDS)

    @property
    def durable(self):
        return self._number


class DeferringClient(CountingClient):
    """Seldom asks when its numbers are durable."""

    def __init__(self, path, export):
        self.durable = 0
        super().__init__(path, export, PATIENCE_SECONDS)

    def _count(self):
        number = self._number + 1
        place, record = record_of(number)
        self._client.write(place, record)
        if number % FLUSH_EVERY == 0:
            self._client.flush()
            self.durable = number
        if self._client.read(place, RECORD_BYTES) != record:
            raise AssertionError(f"number {number} is not read back")
        with self._changed:
            self._number = number
            self._changed.notify_all()


class Reader:
    """Reads what a counting client writes, on a connection of its own, until stop()."""

    def __init__(self, path, export):
        self._client = RawNbdClient(path, export, PATIENCE_SECONDS)
        self._stop = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def _main(self):
        try:
            newest = 0
            while not self._stop.is_set():
                number = number_of(self._client.read(0, PLACES_BYTES))
                if number < newest:
                    raise AssertionError(f"number {number} is read after {newest}")
                newest = number
        except BaseException as failure:  # Told by stop().
            self._failure = failure

    def stop(self):
        self._stop.set()
        self._thread.join()
        self._client.close()
        if self._failure:
            raise AssertionError("the reader failed") from self._failure


def deaths():
    """How often the owner dies: VNVRAM_OWNER_DEATHS, 15 unless it is set."""
    return int(os.environ.get("VNVRAM_OWNER_DEATHS", 15))
