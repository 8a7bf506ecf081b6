"""vnvram-powercut on other programs' writes: what they really did, cut at every step."""

import struct
import subprocess

from harness.tpm_process import program
from .command import Case

HEADER = struct.Struct("=Q QQ")  # Kind (padded), offset, length: tests/powercut/trace.h.
WRITE, WRITE_DURABLE, FLUSH = 1, 2, 3


class PowercutTest(Case):
    def powercut(self, *words, status=0):
        done = subprocess.run([program("vnvram-powercut"), *map(str, words)], timeout=300,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout

    def record(self):
        """Two blobs, rewritten by one command after the other."""
        self.create("--size", "1M", "--ring-size", "256K", "--blob", "a:t:40K", "--blob", "b:t:9K")
        script = self.file("workload.sh", b"""set -e
            for size in 9000 300 40000; do
              head -c $size /dev/urandom | "$1" put "$2" a -
              head -c 700 /dev/urandom | "$1" put "$2" b -
            done
            "$1" register "$2" --blob c:t:5K
            "$1" rm "$2" b""")
        trace = self.path("trace")
        self.powercut("record", trace, self.image, "--", "sh", script, program("vnvram"),
                      self.image)
        return trace

    def drop(self, trace, kind):
        """The same trace, as if the program had never done that."""
        path = trace / "operations"
        content = path.read_bytes()
        kept, at = content[:8], 8
        while at < len(content):
            operation, _, length = HEADER.unpack_from(content, at)
            operation &= 0xFF
            size = HEADER.size + (length if operation in (WRITE, WRITE_DURABLE) else 0)
            if operation != kind:
                kept += content[at:at + size]
            at += size
        self.assertLess(len(kept), len(content))
        path.write_bytes(kept)

    def test_every_legal_cut_of_a_recorded_run(self):
        trace = self.record()
        said = self.powercut("replay", trace, "--images", "24")
        self.assertRegex(said, r"(?m)^\d{2,} operations, \d{3,} images in .*: no failure$")

    def test_a_missing_flush_is_found_and_can_be_reproduced(self):
        trace = self.record()
        self.drop(trace, FLUSH)
        said = self.powercut("replay", trace, status=1)
        self.assertIn("FAILED", said)
        only = said.partition("--only ")[2].split()[0]
        self.assertIn("FAILED", self.powercut("replay", trace, "--only", only, status=1))

    def test_the_built_in_workloads(self):
        said = self.powercut("explore", "--scenario", "transactions", "--seconds", "1")
        self.assertRegex(said, r"\d+ images in .*: no failure")
        self.powercut("explore", "--scenario", "none-such", status=2)
        self.powercut("explore", "--replay", "nonsense", status=2)
        self.assertIn("no failure", self.powercut("explore", "--replay", "mixed/1/27+c0"))
        said = self.powercut("explore", "--replay", "mixed/1/100000+c0", status=1)
        self.assertIn("names no cut", said)
