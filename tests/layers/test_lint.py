"""scripts/lint.sh: each header that changes is looked at from some source. Called with the sources' folder."""

import pathlib
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(sys.argv[1])


class SourceOfHeaders(unittest.TestCase):
    def test_every_header_has_a_source_that_it_is_looked_at_from(self):
        headers = sorted(str(path.relative_to(SOURCE)) for folder in ("src", "include")
                         for path in (SOURCE / folder).rglob("*.h"))
        done = subprocess.run([SOURCE / "scripts/lint.sh", "--source-of", *headers], capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = dict(line.split(": ", 1) for line in done.stdout.splitlines())
        self.assertEqual(sorted(found), headers)
        self.assertEqual([name for name in headers if not (SOURCE / found[name]).is_file()], [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
