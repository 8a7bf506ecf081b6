"""One image of two hosts on an NBD server, which keeps nobody away: the epoch and the look do."""

import sys

from .nbd_server import NbdServer


class OnNbdServer:
    """Before a case of two hosts among a class's bases, which has a `workspace`, an `image` and `children`."""

    def setUp(self):
        super().setUp()
        self.server = NbdServer(self.workspace, "qemu-nbd", self.image)
        self.children.append(self.server)

    def location(self):
        return self.server.uri


if __name__ == "__main__":
    sys.exit("a part of the tests")
