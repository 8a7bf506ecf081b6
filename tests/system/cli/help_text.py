"""What the programs say of themselves with --help."""

import functools
import re
import subprocess

from harness.tpm_process import program


@functools.cache
def help_of(*words):
    return subprocess.run([program(words[0]), *words[1:], "--help"], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=120, check=True).stdout


def options_in(text):
    """In the lists: at the beginning of a line that is indented by two, before its description."""
    found = set()
    for line in re.findall(r"(?m)^  (-\S.*)$", text):
        found.update(re.findall(r"--[a-z0-9-]+", line.split("  ")[0]))
    return found


def verbs_in(text):
    listed = re.search(r"(?ms)^Subcommands:\n(.*?)\n\n", text + "\n\n")
    return re.findall(r"(?m)^  ([a-z0-9-]+)", listed[1]) if listed else []


def command_lines(*words):
    """This one, and those of all verbs below it."""
    yield words
    for verb in verbs_in(help_of(*words)):
        yield from command_lines(*words, verb)
