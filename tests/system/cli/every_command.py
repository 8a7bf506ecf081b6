"""What an operator can do with an image, all of it."""

from .command import OK, Case


class EveryCommandCase(Case):
    def status(self, *words, **options):
        return self.run_vnvram(*words, **options).returncode

    def every_command(self, image):
        """The first that fails; None: none does. The image is changed, and twice as large afterwards."""
        size_bytes = self.json("info", image)["image_size_bytes"]
        names = [blob["name"] for blob in self.json("ls", image)["blobs"]]
        out = self.path("salvaged")
        out.unlink(missing_ok=True)
        commands = [("info", image), ("dump", image), ("salvage", image, out)]
        commands += [("get", image, name) for name in names]
        for words in commands:
            if self.status(*words) != OK:
                return words
        for words in [("put", image, name, "-", "--force") for name in names]:  # No state of a TPM.
            if self.status(*words, input=b"x") != OK:
                return words
        for words in (("register", image, "--blob", "more:test:100"), ("rm", image, "more"),
                      ("resize", image, str(2 * size_bytes)), ("seal", image),
                      ("unseal", image), ("check", image)):
            if self.status(*words) != OK:
                return words
        return None
