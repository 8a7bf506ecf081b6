"""A file system of its own for a test, small enough to be filled."""

import os
import subprocess

MIB = 1 << 20
# XFS makes none that is smaller than 300 MiB.
_MAKE = {"ext4": (40, ("mkfs.ext4", "-q", "-F", "-m", "0")),
         "xfs": (320, ("mkfs.xfs", "-q", "-f", "-m", "reflink=1"))}


class SmallFileSystem:
    """Mounted in the workspace, whose end unmounts it. Needs root."""

    def __init__(self, workspace, kind, size_mib=None):
        """`size_mib`: of one on a file; 40, or what it needs, unless given."""
        self.path = workspace.file(f"small-{kind}")
        self.path.mkdir()
        if kind == "tmpfs":
            self._mount("-t", "tmpfs", "-o", "size=40M", "none")
            return
        backing = workspace.file(f"{kind}.fs")
        usual_size, make = _MAKE[kind]
        with open(backing, "wb") as file:
            file.truncate((size_mib or usual_size) * MIB)
        subprocess.run([*make, backing], check=True)
        self._mount("-o", "loop", backing)

    def _mount(self, *words):
        subprocess.run(["mount", *words, self.path], check=True)

    def file(self, name):
        return self.path / name

    def fill(self):
        """To the last byte that a file can get."""
        with open(self.file("filler"), "wb", buffering=0) as filler:
            size = 0
            for step in (8 * MIB, MIB, 64 << 10, 4 << 10):
                while self._grow(filler, size, step):
                    size += step
            try:
                while True:
                    os.pwrite(filler.fileno(), bytes(4096), size)
                    size += 4096
            except OSError:
                pass

    @staticmethod
    def _grow(filler, size, step):
        try:
            os.posix_fallocate(filler.fileno(), size, step)
        except OSError:
            return False
        return True

    def make_room(self):
        self.file("filler").unlink()


def holes_in(path):
    """How many bytes of the file have no space."""
    holes, at, size = 0, 0, os.stat(path).st_size
    with open(path, "rb") as file:
        while at < size:
            at = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            if at >= size:
                break
            try:
                data = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                data = size
            holes, at = holes + data - at, data
    return holes
