"""Another program that has the image open for writing."""

import subprocess

from harness.tpm_process import program


class Owner:
    """`with Owner(case, image):` - ready on entry, gone on exit and however the test ends."""

    def __init__(self, case, image, blob="none", size=0):
        self._case = case
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", program("image_owner"), image, blob,
             str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        case.addCleanup(self.kill)

    def __enter__(self):
        self._expect("ready")
        return self

    def __exit__(self, kind, *_):
        if kind is None and self._process.returncode is None:
            self.close()
        self.kill()

    def _expect(self, word):
        self._case.assertEqual(self._process.stdout.readline(), word + "\n")

    def _send(self, line):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def commit(self, letter):
        """Durable on return."""
        self._send(letter)
        self._expect("done")

    def fail(self, letter):
        """A commit that must not succeed; returns what it says."""
        self._send(letter)
        _, said = self._process.communicate(timeout=60)
        self._case.assertNotEqual(self._process.returncode, 0)
        return said

    def spin(self):
        """It commits all the time from now on."""
        self._send("spin")

    def close(self):
        """In good order."""
        self._process.stdin.close()
        self._case.assertEqual(self._process.wait(60), 0)

    def kill(self):
        """With SIGKILL; harmless when it is gone."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                pass
