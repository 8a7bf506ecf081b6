"""swtpm, and ours in its place, each with a command line that ends at once."""

import subprocess

from harness.tpm_process import program

OURS = str(program("vnvram-swtpm"))
SWTPM = "swtpm"


def run(name, *words, folder=None, **options):
    """What it said. A program that goes on instead is ended, and that is an error."""
    return subprocess.run([name, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False, cwd=folder, **options)
