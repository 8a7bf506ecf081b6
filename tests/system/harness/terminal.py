"""A command whose terminal is ours."""

import os
import pty
import select
import signal
import termios

from .child import Deadline, PATIENCE_SECONDS


class Terminal:
    """It ends with the test, as a Child does, in whose place it can stand. Started from the main thread only."""

    def __init__(self, *words, folder=".", env=None, log=None):
        self.argv = [str(word) for word in words]
        self.log = log
        self.said = b""
        self.shown_at_the_end = None
        self._status = None
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe("setpriv", ["setpriv", "--pdeathsig", "KILL", "--", *self.argv], {**os.environ, **(env or {})})
        self.pidfd = os.pidfd_open(self.pid)

    def wait_for(self, prompt, seconds=PATIENCE_SECONDS):
        """Until it asks that."""
        self.wait_until(lambda said: said.endswith(prompt), prompt, seconds)

    def wait_until(self, holds, what, seconds=PATIENCE_SECONDS):
        """Until that is so of all that it has said."""
        deadline = Deadline(seconds)
        while not holds(self.said):
            if not select.select([self.terminal], [], [], deadline.left())[0]:
                raise TimeoutError(f"{self.argv} does not say {what}: {self.said}")
            try:
                self.said += os.read(self.terminal, 1000)
            except OSError as gone:  # What a terminal says when its last user has gone.
                raise EOFError(f"{self.argv} has ended and has not said {what}: {self.said}") from gone

    def answer(self, prompt, line):
        self.wait_for(prompt)
        os.write(self.terminal, line)

    def shows_what_is_typed(self):
        return termios.tcgetattr(self.terminal)[3] & termios.ECHO != 0

    def end(self):
        """All that was shown, and the exit status."""
        if self._status is None:
            try:
                while more := os.read(self.terminal, 1000):
                    self.said += more
            except OSError:  # What a terminal says when its last user has gone.
                pass
            self.shown_at_the_end = self.shows_what_is_typed()
            os.close(self.terminal)
            os.close(self.pidfd)
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.said, self._status

    def wait(self):
        return self.end()[1]

    def terminate(self):
        os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def kill(self):
        """SIGKILL, and the process is gone on return. Harmless when it is gone already."""
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
