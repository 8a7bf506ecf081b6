"""What a command that is killed leaves behind is removed by the next one, and nothing else is."""

import os
import subprocess
import time

from harness.child import Deadline
from harness.tpm_process import program
from harness.vm_image import wait_until_let_go

from .command import Case

# A new file is written, flushed and renamed.
MOMENTS = ("pwritev2", "pwrite64", "fsync", "fdatasync", "renameat2")


class LeftoverTest(Case):
    def traced(self, call, injected, *words, **options):
        """The command, under a tracer that does this at its first such system call."""
        argv = ["setpriv", "--pdeathsig", "KILL", "--",
                "strace", "-f", "-qqq", "-o", "/dev/null", "-e", f"trace={call}",
                "-e", f"inject={call}:{injected}:when=1", program("vnvram"), *words]
        return subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                start_new_session=True, **options)

    def kill_at(self, call, *words, **options):
        """False: it made no such call, and ended."""
        process = self.traced(call, "signal=KILL", *words, **options)
        process.communicate(timeout=120)
        wait_until_let_go(self.workspace.path)
        return process.returncode != 0

    def hidden(self):
        return [name for name in self.names() if name.startswith(".vnvram-new-")]

    def test_killed_creates(self):
        for name in ("vm.nvram", "vm.qcow2"):
            left = 0
            for call in MOMENTS:
                with self.subTest(name=name, call=call):
                    if self.kill_at(call, "create", self.path(name), "--blob", "a:t:1K"):
                        left += len(self.hidden())
                        if name in self.names():  # It was complete before it had this name.
                            self.vnvram("check", self.path(name))
                    self.path(name).unlink(missing_ok=True)
            self.assertGreater(left, 0, "nothing was left: this test tests nothing")
            self.vnvram("create", self.path("other.nvram"))
            self.assertEqual(self.hidden(), [])
            self.path("other.nvram").unlink()

    def test_a_killed_create_over_what_is_there(self):
        content = b"precious" * 1000
        self.file("vm.nvram", content)
        self.assertTrue(self.kill_at("renameat", "create", self.image, "--force"))
        self.assertEqual(self.image.read_bytes(), content)
        self.assertEqual(len(self.hidden()), 1)
        self.vnvram("create", self.image, "--force")
        self.assertEqual(self.names(), ["vm.nvram"])

    def test_a_killed_get(self):
        self.create("--blob", "a:t:64K")
        self.vnvram("put", self.image, "a", "-", input=b"x" * 5000)
        for call in ("fsync", "renameat"):
            self.assertTrue(self.kill_at(call, "get", self.image, "a", "-o", self.path("out")))
            self.assertEqual(len(self.hidden()), 1)
        self.vnvram("get", self.image, "a", "-o", self.path("out"))
        self.assertEqual(self.names(), ["out", "vm.nvram"])

    def test_the_folder_of_a_killed_commands_socket(self):
        image, run = self.path("vm.qcow2"), self.path("run")
        run.mkdir()
        self.vnvram("create", image)
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(run)}
        for call in ("bind", "listen", "connect"):
            self.assertTrue(self.kill_at(call, "ls", image, env=environment))
            self.assertEqual(len(self.names(run)), 1, call)
        self.vnvram("ls", image, env=environment)
        self.assertEqual(self.names(run), [])

    def test_one_that_is_at_work_is_left_alone(self):
        tracer = self.traced("renameat2", "delay_enter=600000000", "create", self.image)
        self.addCleanup(tracer.communicate)
        self.addCleanup(tracer.kill)
        self.wait_for(lambda: len(self.hidden()) == 1)
        self.vnvram("create", self.path("other.nvram"))
        self.assertEqual(len(self.hidden()), 1)
        tracer.kill()  # What it holds up goes on then.
        self.wait_for(lambda: self.names() == ["other.nvram", "vm.nvram"])
        self.vnvram("check", self.image)

    def wait_for(self, condition):
        deadline = Deadline(60)
        while not condition():
            self.assertFalse(deadline.passed(), self.names())
            time.sleep(0.01)

    def test_many_at_the_same_time(self):
        commands = [subprocess.Popen([program("vnvram"), "create", self.path(f"{number}.nvram")])
                    for number in range(24)]
        self.assertEqual([command.wait(120) for command in commands], [0] * 24)
        self.assertEqual(len(self.names()), 24)

    def test_what_only_looks_like_it_stays(self):
        names = ("vm.nvram.backup", "vm.nvram.abcdef", ".vnvram-new-file12", ".vnvram-new-longer12")
        for name in names:
            self.file(name, b"mine")
        self.path(".vnvram-new-folder").mkdir()
        (self.path(".vnvram-new-folder") / "mine").write_bytes(b"mine")
        self.create()
        self.assertEqual(self.names(), sorted([*names, ".vnvram-new-folder", "vm.nvram"]))
