"""An image and its copy, which is the same."""

from .command import Case

KEY = b"a key that nobody guesses, of a host"
BLOCK = 4096


class CopyCase(Case):
    def setUp(self):
        super().setUp()
        self.out = self.path("out.nvram")

    def identity(self, image, *key):
        info = self.json("info", image, *key)
        return {name: info[name] for name in ("uuid", "generation", "encrypted", "sealed", "image_size_bytes",
                                              "ring_size_bytes", "blob_count")}

    def must_be_the_same(self, image, out, *key):
        self.assertEqual(self.identity(out, *key), self.identity(image, *key))
        self.assertEqual(self.json("ls", out, *key), self.json("ls", image, *key))
        self.assertEqual(self.json("meta", "ls", out), self.json("meta", "ls", image))
        for blob in self.json("ls", image, *key)["blobs"]:
            self.assertEqual(self.vnvram("get", out, blob["name"], *key),
                             self.vnvram("get", image, blob["name"], *key))
        self.vnvram("check", out, *key)

    def key(self, name="host", content=KEY):
        return ("--key", f"file:{self.file(f'{name}.key', content)}")
