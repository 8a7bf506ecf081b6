"""A small image with a history, to be damaged."""

import contextlib
import json
import os

from .command import BLANK, Case, CORRUPT, FOREIGN, OK, TOO_NEW

BLOCK = 4096
READ_RESULTS = (OK, CORRUPT, FOREIGN, BLANK, TOO_NEW)


class FlipCase(Case):
    """Flips one bit in every block in turn. The image is small, and has old states in its ring and
    in its other slots, as one that was used has."""

    def make_image(self):
        self.create("--size", "1M", "--ring-size", "256K", "--blob", "first:t:64K",
                    "--blob", "second:t:16K", "--blob", "never:t:8K")
        contents = {}
        for _ in range(3):
            for name, size in (("first", 60000), ("second", 16384)):
                contents[name] = os.urandom(size)
                self.vnvram("put", self.image, name, "-", input=contents[name])
        return {**contents, "never": b""}

    @contextlib.contextmanager
    def flipped(self, offset, bit):
        """As long as the `with` lasts; then the image is what it was."""
        self.flip(offset, bit)
        try:
            yield
        finally:
            self.flip(offset, bit)

    def flip(self, offset, bit):
        with open(self.image, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ (1 << bit)]))

    def look(self, contents, may_lack=()):
        """What check and get say; every blob is right, or refused as damaged and said to be hit."""
        done = self.run_vnvram("check", self.image, "--json")
        self.assertIn(done.returncode, READ_RESULTS, done)
        report = json.loads(done.stdout) if done.stdout else None
        named = {name for problem in (report or {"problems": []})["problems"]
                 for name in problem["blobs"] if problem["data_lost"]}
        lost = set()
        for name, content in contents.items():
            got = self.run_vnvram("get", self.image, name)
            self.assertIn(got.returncode, READ_RESULTS, got)
            if got.returncode == OK:
                self.assertIn(got.stdout, (content, *may_lack), f"{name}: wrong bytes")
            else:
                self.assertEqual(got.stdout, b"")
                lost.add(name)
        return done.returncode, named, lost
