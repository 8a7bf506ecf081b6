"""What the host can do to an image in use: no space behind a sparse file, a file that shrinks. The
owner hears of it, and nothing that was acknowledged before is lost."""

import os
import subprocess

from harness.tpm_process import program
from .command import BLANK, Case, CORRUPT, FOREIGN, NO_SPACE
from .owner import Owner

SIZE = 3000


class FaultTest(Case):
    def test_no_space_behind_a_sparse_file(self):
        # The mount lives in a name space that ends with the shell; the ring has holes there, and
        # another file takes the space.
        script = """
            set -e
            mount -t tmpfs -o size=5M none "$1"
            "$2" create "$1/vm.nvram" --size 4M --blob a:t:64K
            printf first | "$2" put "$1/vm.nvram" a -
            fallocate --punch-hole --offset 90112 --length 1000000 "$1/vm.nvram"
            head -c 6M /dev/zero > "$1/other" 2>/dev/null || true
            status=0
            head -c 60000 /dev/urandom | "$2" put "$1/vm.nvram" a - || status=$?
            echo "put $status"
            rm "$1/other"
            "$2" get "$1/vm.nvram" a
            echo
            printf again | "$2" put "$1/vm.nvram" a -
            "$2" get "$1/vm.nvram" a
            "$2" check "$1/vm.nvram" > /dev/null
        """
        folder = self.path("small")
        folder.mkdir()
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", folder,
                               program("vnvram")], capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual(done.stdout, f"put {NO_SPACE}\nfirst\nagain", done.stderr)
        self.assertIn("No space left on device", done.stderr)
        self.assertIn("vm.nvram", done.stderr)

    def test_a_file_that_shrinks(self):
        self.create("--blob", "a:t:64K")
        with Owner(self, self.image, "a", SIZE) as owner:
            owner.commit("A")
            before = self.image.read_bytes()
            os.truncate(self.image, 128 * 1024)
            said = owner.fail("B")
            self.assertIn("shrunk from 4194304 to 131072 bytes", said)
            self.assertEqual(os.path.getsize(self.image), 128 * 1024, "it was written to")
        refused = self.run_vnvram("get", self.image, "a")
        self.assertIn(refused.returncode, (CORRUPT, BLANK, FOREIGN))
        self.image.write_bytes(before)
        self.assertEqual(self.vnvram("get", self.image, "a"), b"A" * SIZE)
