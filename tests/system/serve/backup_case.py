"""Exports of an image that is served, and who writes to it meanwhile."""

import json
import threading

from harness.child import PATIENCE_SECONDS

from .serve_case import ServeCase

PAGE = 4096


class Writer:
    """An NBD client that writes without pause. Each round writes its number to two pages of a blob, one
    after the other, so that whatever is of one moment has the same number in both, or one less in
    the second."""

    def __init__(self, client):
        self._client = client
        self._stop = threading.Event()
        self._went_on = threading.Condition()
        self.count = 0
        self.error = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            while not self._stop.is_set():
                page = (self.count + 1).to_bytes(8, "big") * (PAGE // 8)
                self._client.pwrite(page, 0)
                self._client.pwrite(page, PAGE)
                with self._went_on:
                    self.count += 1
                    self._went_on.notify_all()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def must_go_on(self):
        with self._went_on:
            seen = self.count
            if not self._went_on.wait_for(lambda: self.count > seen + 3, PATIENCE_SECONDS):
                raise AssertionError(f"no write is answered any more: {self.error}")

    def stop(self):
        self._stop.set()
        self._thread.join()
        if self.error:
            raise self.error

    @staticmethod
    def number_in(content):
        """The number that this has; it must be of one moment."""
        first, second = (int.from_bytes(content[at:at + 8], "big") for at in (0, PAGE))
        for at, number in ((0, first), (PAGE, second)):
            if content[at:at + PAGE] != number.to_bytes(8, "big") * (PAGE // 8):
                raise AssertionError(f"page {at // PAGE} is a mixture")
        if first not in (second, second + 1):
            raise AssertionError(f"of two moments: {first} and {second}")
        return first


class BackupCase(ServeCase):
    def export_to(self, out, *options, image=None, **expected):
        return json.loads(self.vnvram("export", image or self.owner.address, out, *options,
                                      "--json", **expected) or "null")

    def put(self, blob, content):
        self.vnvram("put", self.owner.address, blob, "-", input=content)

    def listed(self, image):
        """What ls says, but for generations, which are the image's own, and the manifest."""
        blobs = self.json("ls", image)["blobs"]
        for blob in blobs:
            blob["generation"] = blob["generation"] > 0
            del blob["registered_generation"]
        return [blob for blob in blobs if blob["name"] != "vnvram/export"]

    def must_be_the_same(self, one, other):
        self.assertEqual(self.listed(one), self.listed(other))
        for blob in self.listed(one):
            self.assertEqual(self.vnvram("get", one, blob["name"]),
                             self.vnvram("get", other, blob["name"]), blob["name"])

    def must_leave_nothing(self, folder=None):
        """Neither OUT nor what it was to be made of."""
        self.assertEqual([name for name in self.names(folder)
                          if name.startswith((".vnvram", "out"))], [])

    def writer(self, blob="nvram"):
        client = self.connect(self.export(), blob)
        writer = Writer(client)
        self.addCleanup(writer._thread.join)
        self.addCleanup(writer._stop.set)
        return writer
