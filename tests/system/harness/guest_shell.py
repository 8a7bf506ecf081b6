"""The shell that a guest has on its serial console (guest/init)."""

import itertools
from typing import NamedTuple

READY = rb"vnvram-guest: ready\r?\n"


class Answer(NamedTuple):
    """How a command in the guest ended, and what it printed."""
    status: int
    output: str


class GuestShell:
    """For a machine whose `console` is a Stream."""

    _numbers_of_commands = itertools.count()

    def wait_ready(self, seconds=300):
        """The guest's shell reads commands now."""
        self.console.expect(READY, seconds)
        return self

    def run(self, command, seconds=300):
        """Runs a line of shell in the guest and returns how it ended."""
        marker = f"end-{next(self._numbers_of_commands)}"
        self.console.send(f"{marker} {command}\n".encode())
        found = self.console.expect(rb"%s (\d+)\r?\n" % marker.encode(), seconds)
        output = found.string[:found.start()].decode(errors="replace").replace("\r", "")
        return Answer(int(found.group(1)), output)

    def must(self, command, seconds=300):
        """Runs a command that has to succeed and returns its output, stripped."""
        answer = self.run(command, seconds)
        if answer.status != 0:
            raise AssertionError(f"in the guest: {command}: status {answer.status}: {answer.output}")
        return answer.output.strip()
