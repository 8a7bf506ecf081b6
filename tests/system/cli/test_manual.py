"""The manual pages and the programs' own help name the same options."""

import functools
import re
import subprocess
import unittest

from harness.blob_server import plugin
from harness.tpm_process import REPOSITORY

from .help_text import command_lines, help_of, options_in, verbs_in

MAN = REPOSITORY / "man"
OF_OTHERS = {"nbdkit-vnvram-plugin.1", "vnvram.3"}  # Parameters, which are below, and no command at all.
OF_ALL_PROGRAMS = {"--help", "--help-all", "--version"}
# vnvram(1) says once of all commands what these are.
OF_ALL_IMAGES = {"--image-key", "--key", "--anchor"}

OPTION = re.compile(r"(?<![\w-])--[a-z0-9-]+")
THOSE_OF_ANOTHER = re.compile(r"\[the options of ([a-z-]+)( but [^]]*)?\]")


@functools.cache
def pages():
    """Each with the command lines that it is about."""
    return {
        "vnvram.1": [*command_lines("vnvram")],
        "vnvram-export.1": [("vnvram", "export")],
        "vnvram-import.1": [("vnvram", "import")],
        "vnvram-tpm.8": [("vnvram-tpm",)],
        "vnvram-swtpm.8": [("vnvram-swtpm", "socket"), ("vnvram-swtpm", "chardev")],
        "vnvram-swtpm-back.8": [(REPOSITORY / "contrib/swtpm/vnvram-swtpm-back",)],
    }


def text_of(page):
    """Without what is only for how it looks."""
    return re.sub(r"\\f.|\\:", "", (MAN / page).read_text(encoding="utf-8").replace("\\-", "-"))


def tags_in(text):
    """What the lists have in front of their descriptions."""
    return re.findall(r"(?m)^\.TP\n(?:\.[BIR]+ )?(.*)$", text)


def options_listed(text):
    return set(OPTION.findall("\n".join(tag for tag in tags_in(text) if tag.lstrip('"').startswith("-"))))


def options_of(*words):
    return options_in(help_of(*words)) - OF_ALL_PROGRAMS


class Manual(unittest.TestCase):
    def test_each_page_is_compared(self):
        self.assertEqual({path.name for path in MAN.iterdir()}, {*pages(), *OF_OTHERS})

    def test_each_option_is_named(self):
        for page, lines in pages().items():
            named = set(OPTION.findall(text_of(page)))
            for line in lines:
                with self.subTest(page=page, line=line):
                    self.assertEqual(options_of(*line) - named, set())

    def test_nothing_else_is_listed(self):
        for page, lines in pages().items():
            listed = options_listed(text_of(page))
            self.assertGreater(len(listed), 0, page)
            known = set().union(*(options_of(*line) for line in lines))
            self.assertEqual(listed - known - OF_ALL_PROGRAMS, set(), page)

    def test_the_plugins_parameters(self):
        said = subprocess.run(["nbdkit", "--help", plugin()], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=120, check=True).stdout.split("as exports\n")[1]
        parameters = set(re.findall(r"(?m)^\[?([a-z-]+)=", said))
        self.assertGreater(len(parameters), 10)
        listed = re.findall(r"(?m)^(?:\[ )?([a-z-]+)=", "\n".join(tags_in(text_of("nbdkit-vnvram-plugin.1"))))
        self.assertEqual(set(listed), parameters)


class Commands(unittest.TestCase):
    """Of vnvram(1), one by one."""

    def setUp(self):
        self.text = text_of("vnvram.1")
        lines = re.search(r"(?s)\.SH SYNOPSIS\n\.nf\n(.*?)\.fi", self.text)[1]
        self.synopses = [synopsis.split() for synopsis in re.split(r"(?m)^vnvram ", lines)[1:]]

    def synopsis_of(self, verb, below=None):
        """All of them, of a verb and one below it."""
        return "\n".join(" ".join(words) for words in self.synopses
                         if words[0] == verb and (below is None or below in words[1].split("|")))

    def options_in_synopsis(self, *verbs):
        text = self.synopsis_of(*verbs)
        self.assertNotEqual(text, "", verbs)
        options = set(OPTION.findall(THOSE_OF_ANOTHER.sub("", text)))
        for another, left_out in THOSE_OF_ANOTHER.findall(text):
            options |= self.options_in_synopsis(another) - set(OPTION.findall(left_out))
        return options

    def test_each_has_its_options_in_the_synopsis(self):
        compared = 0
        for line in pages()["vnvram.1"]:
            if verbs_in(help_of(*line)):
                continue  # Its options are those of the verbs below it.
            with self.subTest(line):
                named = self.options_in_synopsis(*line[1:])
                options = options_of(*line)
                self.assertEqual(named - options, set())
                self.assertEqual(options - named - OF_ALL_IMAGES, set())
            compared += 1
        self.assertGreater(compared, 40)

    def test_each_describes_its_own(self):
        commands = self.text.split(".SH COMMANDS\n")[1].split("\n.SH ")[0]
        verbs = {line[1] for line in pages()["vnvram.1"] if len(line) == 2}
        described = 0
        for section in re.split(r"(?m)^\.SS ", commands)[1:]:
            of_it = {word for word in section.splitlines()[0].replace('"', "").replace(",", " ").split() if word in verbs}
            with self.subTest(section.splitlines()[0]):
                self.assertNotEqual(of_it, set())
                lines = [line for line in pages()["vnvram.1"] if len(line) > 1 and line[1] in of_it]
                listed = options_listed(section)
                self.assertEqual(listed - set().union(*(options_of(*line) for line in lines)), set())
                described += len(listed)
        self.assertGreater(described, 50)


if __name__ == "__main__":
    unittest.main()
