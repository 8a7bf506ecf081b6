"""What the tests with device models share: one image, one nbdkit, what the image holds."""

import pathlib
import signal
import tempfile
import time

from harness.blob_server import BlobServer
from harness.case import GuestCase
from harness.child import Deadline, PATIENCE_SECONDS
from harness.vnvram import info, vnvram


class DeviceCase(GuestCase):
    """Machines are started by the tests; this ends them."""

    def serve(self, *options, image=None):
        server = BlobServer(self.workspace, image or self.image, *options)
        self.children.append(server)
        return server

    def plug_in(self, machine):
        self.children.append(machine)
        return machine

    def pull_the_plug(self, server, *machines):
        """All at once, as far as one process can: everyone is gone before anyone is waited for."""
        for child in (server, *machines):
            child.child.send(signal.SIGKILL)
        for child in (server, *machines):
            child.kill()

    def stored(self, name):
        """What the image holds: a blob's bytes, without the zeros behind its current size."""
        with tempfile.NamedTemporaryFile(dir=self.workspace.path) as file:
            vnvram("get", self.image, name, "--output", file.name)
            return pathlib.Path(file.name).read_bytes()

    def wait_stored(self, predicate, name, seconds=PATIENCE_SECONDS):
        """Until what the image holds is as it should be: a write that nobody flushes is on its way
        there. Nothing tells when it has arrived but the image."""
        deadline = Deadline(seconds)
        while not predicate(content := self.stored(name)):
            if deadline.passed():
                raise AssertionError(f"{name} after {seconds} s: {content[:512].hex()}")
            time.sleep(0.002)
        return content

    def generation(self):
        return info(self.image)["generation"]
