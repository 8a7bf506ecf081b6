"""A client in another language: examples/javascript, which has none of our code, and an owner."""

import json
import pathlib
import shutil
import subprocess

from cli.command import NOT_FOUND, READ_ONLY, TOO_LARGE

from .serve_case import ServeCase

SOURCE = pathlib.Path(__file__).resolve().parents[3]
INSTALL_SECONDS = 300


class JavaScript(ServeCase):
    def setUp(self):
        super().setUp()
        self.example = self.path("examples") / "javascript"
        shutil.copytree(SOURCE / "examples/javascript", self.example,
                        ignore=shutil.ignore_patterns("node_modules", "schema"))
        shutil.copytree(SOURCE / "src/rpc", self.path("src") / "rpc")
        self.in_example("npm", "ci", "--prefer-offline", "--no-audit", "--no-fund")
        self.in_example("npm", "run", "schema")

    def in_example(self, *argv, status=0):
        """Returns what it printed; of a failure what it said."""
        done = subprocess.run(argv, cwd=self.example, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=INSTALL_SECONDS, check=False)
        self.assertEqual(done.returncode, status, f"{argv}: {done.stdout}\n{done.stderr}")
        return done.stdout if status == 0 else done.stderr

    def tour(self, *words, status=0):
        return self.in_example("node", "tour.mjs", *words, status=status)

    def listed(self, *names):
        """As the tour prints what vnvram lists."""
        return [f"  {blob['name']}: {blob['type']}, {blob['size_bytes']} of {blob['size_max_bytes']} "
                f"bytes, generation {blob['generation']}"
                for blob in self.json("ls", self.owner.address)["blobs"]
                if not names or blob["name"] in names]

    def refusal(self, what, kind, cause, remedy="none"):
        return [f"{what}: refused, kind {kind}: {cause}", f"  remedy: {remedy}"]

    def test_it_reads_writes_is_refused_and_gives_fewer_rights_away(self):
        address = self.owner.address
        self.vnvram("put", address, "eeprom", "-", input=b"before")
        before = self.json("status", address)
        blobs = self.listed()
        said = self.tour(address, "eeprom", "nvram", "both \u00e4").splitlines()
        status = self.json("status", address)
        self.assertEqual(status["generation"], before["generation"] + 1)
        self.assertEqual(self.vnvram("get", address, "eeprom"), "both \u00e4".encode())
        self.assertEqual(self.vnvram("get", address, "nvram"), "both \u00e4".encode())
        both = json.dumps("both \u00e4", ensure_ascii=False)
        expected = [
            f"generation {before['generation']}, not sealed, {before['space_free_bytes']} bytes free",
            "blobs:", *blobs,
            'eeprom holds "before"',
            f"eeprom and nvram are written, durable as generation {status['generation']}",
            f"they hold [{both},{both}]",
            *self.refusal("nvram with a byte too many, and eeprom with it", TOO_LARGE,
                          f"{self.image}: blob nvram: 65537 bytes are more than its largest size of 65536",
                          "register the blob with a larger size first"),
            f"eeprom holds {both}",
            "who may read eeprom alone sees:", *self.listed("eeprom"),
            f"eeprom holds {both}",
            *self.refusal("writing eeprom", READ_ONLY, "eeprom: this session may only read it"),
            *self.refusal("reading nvram", NOT_FOUND, "nvram: there is no such blob"),
            *self.refusal("more rights", NOT_FOUND, "nvram: there is no such blob")]
        self.assertEqual(said[:-1], expected)
        self.assertRegex(said[-1], "^an operator's call: not understood: .*not implemented")
        self.must_end_clean()

    def test_what_cannot_be(self):
        self.assertIn("unix:PATH", self.tour("/tmp/nowhere", "a", "b", "text", status=1))
        self.assertIn("ENOENT", self.tour(f"unix:{self.path('nowhere')}", "a", "b", "text", status=1))
        self.assertIn("no blob nobody", self.tour(self.owner.address, "nobody", "nvram", "x", status=1))
        self.assertIn("usage", self.tour(self.owner.address, status=2))
