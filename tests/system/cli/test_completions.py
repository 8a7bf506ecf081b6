"""What bash and zsh complete: each word and each option that the programs' own help has."""

import subprocess
import unittest

from harness.tpm_process import REPOSITORY, program

from .help_text import command_lines, help_of, options_in, verbs_in

FOLDER = REPOSITORY / "contrib" / "completions"
PROGRAMS = program("vnvram").parent

# Each: what is completed, one a line. In zsh its own functions, which show what they are given, are replaced.
BASH = """
source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_vnvram "$1"
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
fpath=("$1" $fpath)
shift
_call_program() { shift; "$@" }
_describe() { [[ $1 != -o ]] || shift; print -rl -- ${${(P)2}%%:*} }
_files() { }
autoload -Uz _vnvram
words=("$@") CURRENT=$#
_vnvram
"""


def completed(shell, *words):
    argv = {"bash": ["bash", "-c", BASH, "bash", FOLDER / "vnvram.bash"],
            "zsh": ["zsh", "-fc", ZSH, "zsh", FOLDER]}[shell]
    done = subprocess.run([*map(str, argv), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={"PATH": f"{PROGRAMS}:/usr/bin:/bin"}, timeout=120, check=False)
    if done.stderr:
        raise AssertionError(f"{shell}, {words}: {done.stderr}")
    return [word for word in done.stdout.splitlines() if word]


class Completions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lines = [*command_lines("vnvram"), ("vnvram-tpm",), ("vnvram-swtpm", "socket"), ("vnvram-swtpm", "chardev")]

    def test_all_that_the_help_has(self):
        self.assertGreater(len(self.lines), 40)
        for shell in ("bash", "zsh"):
            for line in self.lines:
                with self.subTest(shell=shell, line=line):
                    text = help_of(*line)
                    self.assertGreater(len(options_in(text)), 0)
                    offered = completed(shell, *line, "-")
                    self.assertEqual(set(offered), options_in(text))
                    self.assertEqual(len(set(offered)), len(offered))
                    self.assertEqual(completed(shell, *line, ""), verbs_in(text))

    def test_behind_other_words(self):
        for shell in ("bash", "zsh"):
            with self.subTest(shell):
                self.assertEqual(completed(shell, "vnvram-swtpm", ""), ["socket", "chardev"])
                self.assertIn("--tpm2", completed(shell, "vnvram", "create", "vm.img", "-"))
                self.assertEqual(completed(shell, "vnvram", "create", "vm.img", ""), [])
                self.assertIn("--new-key", completed(shell, "vnvram", "key", "add", "vm.img", "--key", "k", "-"))
        self.assertEqual(completed("bash", "vnvram", "export"), ["export", "export-swtpm"])
        self.assertEqual(completed("bash", "vnvram", "key", "add", "--new"), ["--new-key"])


if __name__ == "__main__":
    unittest.main()
