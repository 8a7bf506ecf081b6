"""Mistakes on the command line: swtpm's exit codes, and its words for them."""

import shlex
import unittest

from harness.workspace import Workspace

from .programs import OURS, SWTPM, run

# Of swtpm's words those that a later release has mended, and ours are: what 0.7 says, and what we say.
MENDED = {"Unsupport control": "Unsupported control", "Unsupport socket": "Unsupported socket",
          "UnioIO": "UnixIO"}

MISTAKES = [
    "",
    "nonsense",
    "cuse",
    "socket --nonsense",
    "socket --port",
    "socket -n",
    "socket --tpm2=3",
    "socket extra",
    "socket --print-capabilities extra",
    "socket -p 65536",
    "socket -p x",
    "socket --fd x",
    "socket --fd 777",
    "socket --fd 1",
    "socket --print-states",
    "socket --print-states --fd 1",
    "socket --log file=l,nonsense",
    "socket --log level=x",
    "socket --log file=",
    "socket --print-capabilities --log nonsense",
    "socket --ctrl type=nonsense",
    "socket --ctrl path=x",
    "socket --ctrl type=unixio",
    "socket --ctrl type=unixio,fd=777",
    "socket --ctrl type=unixio,clientfd=777",
    "socket --ctrl type=unixio,path=s,mode=888",
    "socket --ctrl type=unixio,path=s,mode=1777",
    "socket --ctrl type=unixio,path=s,uid=no-such-user",
    "socket --ctrl type=unixio,path=s,gid=no-such-group",
    "socket --ctrl type=unixio,path=s,uid=-1",
    "socket --ctrl type=unixio,path=" + 108 * "x",
    "socket --ctrl type=tcp",
    "socket --ctrl type=tcp,port=65536",
    "socket --ctrl type=tcp,port=x",
    "socket --ctrl type=tcp,port=1,bindaddr=localhost",
    "socket --ctrl type=tcp,port=1,bindaddr=fe80::1",
    "socket --server type=nonsense",
    "socket --server type=tcp",
    "socket --server port=65536",
    "socket --server type=unixio",
    "socket --tpmstate nonsense",
    "socket --tpmstate mode=0600",
    "socket --tpmstate dir=",
    "socket --pid nonsense",
    "socket --pid fd=777",
    "socket --pid fd=-1",
    "socket --flags nonsense",
    "socket --flags startup-clear,X",
    "socket --seccomp action=nonsense",
    "socket --seccomp nonsense",
    "socket --locality nonsense",
    "socket --runas no-such-user -p 1",
    "socket --flags x --pid y --tpmstate z --ctrl type=tcp",
    "chardev",
    "chardev -t",
    "chardev --server port=3",
    "chardev --fd x",
    "chardev --fd 777",
    "chardev --fd 0",
    "chardev --vtpm-proxy --fd 1",
]


def words_of(said):
    """The message itself: who says it stands before it, and a manual behind it."""
    line = said.splitlines()[0]
    for name in ("swtpm: ", "socket: ", "chardev: "):
        line = line.removeprefix(name)
    for old, new in MENDED.items():
        line = line.replace(old, new)
    return line


class CommandLineTest(unittest.TestCase):
    def setUp(self):
        self.workspace = Workspace()
        self.addCleanup(self.workspace.close)

    def test_mistakes_are_told_as_swtpm_tells_them(self):
        for mistake in MISTAKES:
            with self.subTest(mistake):
                theirs = run(SWTPM, *shlex.split(mistake), folder=self.workspace.path)
                ours = run(OURS, *shlex.split(mistake), folder=self.workspace.path)
                self.assertEqual((ours.returncode, ours.stdout), (theirs.returncode, theirs.stdout))
                self.assertEqual(ours.returncode, 1)
                self.assertTrue(ours.stderr.startswith("swtpm: " + words_of(theirs.stderr)),
                                f"{theirs.stderr}\n{ours.stderr}")
                self.assertEqual(len(ours.stderr.splitlines()), 1)

    def test_a_mistake_is_in_the_log_too(self):
        log = self.workspace.file("log")
        done = run(OURS, "socket", "--ctrl", "type=nonsense", "--log", f"file={log},prefix=tpm>")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Unsupported control channel type: nonsense", done.stderr)
        self.assertEqual(log.read_text(), done.stderr.replace("swtpm: ", "tpm>"))

    def test_a_log_that_cannot_be_written_is_told(self):
        for place, reason in (("file=/nowhere/log", "No such file or directory"),
                              ("fd=777", "Bad file descriptor")):
            done = run(OURS, "socket", "--tpm2", "-p", 1, "--log", place)
            self.assertEqual(done.returncode, 1)
            self.assertIn(reason, done.stderr)

    def test_a_mistake_leaves_nothing_behind(self):
        done = run(OURS, "socket", "--ctrl", "type=unixio,path=s", "--pid", "file=p", "--tpmstate",
                   "dir=d", "--flags", "nonsense", folder=self.workspace.path)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(list(self.workspace.path.iterdir()), [])

    def test_what_is_not_served_is_refused_by_name(self):
        for words, name in ((["--profile", "name=null"], "--profile"),
                            (["--print-profiles"], "--print-profiles"),
                            (["--print-info", "0x20"], "--print-info 0x20"),
                            (["-p", "1", "--pcap", "file=x"], "--pcap")):
            done = run(OURS, "socket", "--tpm2", *words, folder=self.workspace.path)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertTrue(done.stderr.startswith(f"swtpm: {name} is not served: "), done.stderr)


if __name__ == "__main__":
    unittest.main()
