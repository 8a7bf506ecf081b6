"""What docs/operations.md prints: the code blocks of a section, and tests that run them as they are."""

import re
import unittest
from typing import NamedTuple

from .operator_host import OperatorHost
from .shows_logs import ShowsLogs
from .tpm_process import REPOSITORY
from .workspace import Workspace

TEXT = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")


class Block(NamedTuple):
    language: str  # "sh", "ini"; "" of a transcript.
    text: str

    def first_line(self):
        return self.text.partition("\n")[0]

    def commands(self):
        """As a shell would read them one by one: a line, with those that continue it."""
        lines = self.text.replace("\\\n", "").splitlines()
        return [line for line in lines if line and not line.startswith("#")]

    def dialogue(self):
        """Of a transcript: pairs of a command and what is printed below it."""
        parts = re.split(r"(?m)^\$ (.*)\n", self.text)
        return list(zip(parts[1::2], parts[2::2]))


class Section:
    """What stands below one `## ` heading."""

    def __init__(self, heading):
        found = re.search(rf"(?ms)^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", TEXT)
        self.text = found[1]
        self.blocks = [Block(language, text)
                       for language, text in re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", self.text)]
        if self.text.count("```") != 2 * len(self.blocks):
            raise AssertionError(f"a block below {heading!r} is fenced otherwise than the others")

    def block(self, beginning):
        """The one that begins with this."""
        found = [block for block in self.blocks if block.text.startswith(beginning)]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} blocks begin with {beginning!r}")
        return found[0]

    def inline(self, code):
        """Code within a sentence or a table, which has to be there by the letter."""
        if f"`{code}`" not in re.sub(r"\s+", " ", self.text):
            raise AssertionError(f"it is printed nowhere: {code}")
        return code


def runs(*beginnings):
    """Of a test of PrintedCase: the blocks that begin so are run by it, all of each."""
    def mark(method):
        method.blocks = beginnings
        return method
    return mark


class PrintedCase(ShowsLogs, unittest.TestCase):
    """Tests that run what a section prints. A test that has run only a part of its blocks fails."""

    section = None

    def setUp(self):
        self.workspace = Workspace()
        self.addCleanup(self.workspace.close)
        self.host = OperatorHost(self.workspace)  # It knows which commands were run.
        self.addCleanup(self.host.close)

    def commands(self, beginning):
        return self.section.block(beginning).commands()

    def tearDown(self):
        method = getattr(self, self._testMethodName)
        for beginning in getattr(method, "blocks", ()):
            block = self.section.block(beginning)
            pieces = [command for command, _ in block.dialogue()] or block.commands()
            if block.text not in self.host.ran:
                self.assertEqual([piece for piece in pieces if piece not in self.host.ran], [])


def uncovered(section, cases, not_run):
    """The first lines of blocks that no test of these cases runs and that `not_run` does not name either."""
    beginnings = [beginning for case in cases for name in unittest.defaultTestLoader.getTestCaseNames(case)
                  for beginning in getattr(getattr(case, name), "blocks", ())]
    covered = [section.block(beginning) for beginning in (*beginnings, *not_run)]
    return [block.first_line() for block in section.blocks if block not in covered]
