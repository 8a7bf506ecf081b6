"""A temporary folder for one test, and everything that must not outlive it."""

import os
import pathlib
import subprocess
import tempfile
import traceback

# Waits until the test's end of the pipe is closed, however the test ended, and cleans up behind it.
# What is mounted in the folder is unmounted first, the last one first, and loop devices over its files are let go; a
# busy one goes when its user is gone.
_REAPER = """
cat >/dev/null
if [ -n "$2" ]; then
  findmnt --noheadings --raw --output TARGET | tac | while read -r place; do
    case "$place" in "$1"/*) umount "$place" ;; esac
  done
  losetup --list --noheadings --raw --output NAME,BACK-FILE | while read -r name file; do
    case "$file" in "$1"/*) losetup --detach "$name" ;; esac
  done
fi
rm -rf -- "$1"
"""


class Workspace:
    """The folder lives until close(), or until the test process is gone. Its path is short unless
    `parent` is given: sockets live in it, and their paths may have 107 bytes."""

    def __init__(self, parent=None):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="vnvram-", dir=parent))
        self._logs = []
        self._reaper = subprocess.Popen(
            ["sh", "-c", _REAPER, "reaper", str(self.path), "loop" if os.geteuid() == 0 else ""],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self._reaper:
            self._reaper.stdin.close()
            self._reaper.wait()
            self._reaper = None

    def file(self, name):
        return self.path / name

    def log(self, name):
        """A new log file; all of them are shown when the test fails."""
        path = self.path / f"{len(self._logs):02}-{name}.log"
        path.touch()
        self._logs.append(path)
        return path

    def show_failure(self):
        """For who handles an exception. What has failed comes first: of long outputs not all is kept."""
        print(traceback.format_exc(), self.logs_text(), sep="\n", flush=True)

    def logs_text(self, tail_bytes=3000):
        parts = []
        for path in self._logs:
            content = path.read_bytes()
            cut = "..." if len(content) > tail_bytes else ""
            text = content[-tail_bytes:].decode(errors="replace")
            parts.append(f"---- {path.name} ({len(content)} bytes)\n{cut}{text}")
        return "\n".join(parts)
