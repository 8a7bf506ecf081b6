"""The ways to reach one image file: by name, through loop devices, through NBD servers."""

import os
import subprocess

from harness.nbd_server import NbdServer


class Refused(Exception):
    """It cannot be had at all: something else has the file."""


class Place:
    """`where` is what an owner is started with. It is there from open() on."""

    def __init__(self, where):
        self.where = str(where)

    def open(self):
        pass

    def close(self):
        pass


class _Loop(Place):
    """Held open, and read in full, while it exists: so the kernel keeps what it has in the device's
    cache, as it does for a device that something else has open, too."""

    def __init__(self, image, *options):
        done = subprocess.run(["losetup", "--find", "--show", *options, image], check=True,
                              capture_output=True, text=True)
        super().__init__(done.stdout.strip())
        self._held = os.open(self.where, os.O_RDONLY)
        while os.read(self._held, 1 << 20):
            pass

    def close(self):
        os.close(self._held)
        subprocess.run(["losetup", "--detach", self.where], check=True)


class _Nbd(Place):
    def __init__(self, workspace, kind, image):
        super().__init__(None)
        self._start = lambda: NbdServer(workspace, kind, image)
        self._server = None

    def open(self):
        try:
            self._server = self._start()
        except AssertionError as error:
            raise Refused(str(error)) from error
        self.where = self._server.uri

    def close(self):
        if self._server:
            self._server.kill()


class _NbdOnLoop(Place):
    """A server whose device is another one than the other owner's: it has to read around its host's
    cache, which nobody can do for it."""

    def __init__(self, workspace, image):
        super().__init__(None)
        self._loop = _Loop(image)
        self._server = _Nbd(workspace, "qemu-nbd-uncached", self._loop.where)

    def open(self):
        self._server.open()
        self.where = self._server.where

    def close(self):
        self._server.close()
        self._loop.close()


def _link(make, workspace, image):
    link = workspace.file(f"{image.name}.{make.__name__}{len(list(workspace.path.iterdir()))}")
    make(image, link)
    return Place(link)


KINDS = {
    "file": lambda workspace, image: Place(image),
    "symbolic link": lambda workspace, image: _link(os.symlink, workspace, image),
    "hard link": lambda workspace, image: _link(os.link, workspace, image),
    "loop": lambda workspace, image: _Loop(image),
    "direct loop": lambda workspace, image: _Loop(image, "--direct-io=on"),
    "nbdkit": lambda workspace, image: _Nbd(workspace, "nbdkit", image),
    "qemu-nbd": lambda workspace, image: _Nbd(workspace, "qemu-nbd", image),
    "qemu-nbd on a loop": _NbdOnLoop,
}
