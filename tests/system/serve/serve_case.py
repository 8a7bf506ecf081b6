"""One image with three blobs, an owner that serves it, and nbdkit as its front end."""

import nbd  # libnbd's own binding

from harness.owner_process import OwnerProcess
from nbdkit.nbdkit_case import NbdkitCase


class ServeCase(NbdkitCase):
    def setUp(self):
        super().setUp()
        self.owner = self.start_owner()

    def start_owner(self, *options, image=None):
        owner = OwnerProcess(self.workspace, image or self.image, *options)
        self.children.append(owner)
        return owner

    def export(self, *options):
        """A front end of the owner, confined as `vnvram serve` has it."""
        return self.serve("seccomp=on", *options, image=self.owner.address)

    def must_fail(self, call, *arguments):
        """An NBD request that is answered, and with an error."""
        with self.assertRaises(nbd.Error):
            call(*arguments)

    def must_end_clean(self):
        self.owner.stop()
        self.must_be_clean()
