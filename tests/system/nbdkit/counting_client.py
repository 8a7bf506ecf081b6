"""A client that does what it should, and notices when it is not served."""

import struct
import threading
import time

from .raw_nbd_client import RawNbdClient

PLACES = 8
RECORD_BYTES = 512


class CountingClient:
    """Writes a running number durably, by FUA and by a plain write and a flush in turn, and reads it
    back, on a thread of its own until stop(). No answer may take longer than `seconds`."""

    def __init__(self, path, export, seconds=30):
        self._client = RawNbdClient(path, export, seconds)
        self._changed = threading.Condition()
        self._number = 0
        self._longest_wait = 0.0
        self._failure = None
        self._stop = False
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def _main(self):
        try:
            while not self._stop:
                self._count()
        except BaseException as failure:  # Told by whoever waits.
            with self._changed:
                self._failure = failure
                self._changed.notify_all()

    def _count(self):
        number = self._number + 1
        begin = time.monotonic()
        place, record = record_of(number)
        if number % 2 == 0:
            self._client.write(place, record, fua=True)
        else:
            self._client.write(place, record)
            self._client.flush()
        if self._client.read(place, RECORD_BYTES) != record:
            raise AssertionError(f"number {number} is not read back")
        with self._changed:
            self._number = number
            self._longest_wait = max(self._longest_wait, time.monotonic() - begin)
            self._changed.notify_all()

    def must_go_on(self, rounds=10, seconds=60):
        """Waits for so many more."""
        with self._changed:
            wanted = self._number + rounds
            done = self._changed.wait_for(lambda: self._failure or self._number >= wanted, seconds)
            if self._failure:
                raise AssertionError("the well-behaved client failed") from self._failure
            if not done:
                raise AssertionError(f"the well-behaved client is at {self._number}, not {wanted}")

    def stop(self):
        """Returns what its export must begin with."""
        self._stop = True
        self._thread.join()
        if self._failure:
            raise AssertionError("the well-behaved client failed") from self._failure
        self._client.disconnect()
        print(f"well-behaved client: {self._number} numbers, the slowest in "
              f"{self._longest_wait * 1000:.0f} ms", flush=True)
        return content_after(self._number)


def record_of(number):
    return (number % PLACES) * RECORD_BYTES, struct.pack(">Q", number) * (RECORD_BYTES // 8)


def content_after(number):
    content = bytearray(PLACES * RECORD_BYTES)
    for each in range(max(1, number - PLACES + 1), number + 1):
        place, record = record_of(each)
        content[place:place + RECORD_BYTES] = record
    return bytes(content)
