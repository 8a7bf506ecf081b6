"""A folder in the place of a host's root, where the commands that docs/operations.md prints are run by a shell.

What is changed of a command: /etc, /run, /usr/local and /var/lib are in that folder, and what it leaves out as
`--control ...` is said."""

import os
import re
import subprocess

from .child import PATIENCE_SECONDS
from .notified_child import start_notified, started_ready
from .recipe import RECIPES  # And `vnvram` is found by its name.
from .terminal import Terminal

OWNER = "unix:/run/vm1/owner.sock"
LEFT_OUT = {"--control ...": f"--control {OWNER} --tpm unix:/run/vm1/tpm.sock"}
# What differs from one time to the next: when a slot was made, and a public key.
VARYING = (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", r"\b[0-9a-f]{64}\b")


def without_varying(text):
    for varying in VARYING:
        text = re.sub(varying, lambda found: "*" * len(found[0]), text)
    return text


class OperatorHost:
    """The operator works in `home`, which has the repository's contrib/."""

    def __init__(self, workspace):
        self._workspace = workspace
        self.root = workspace.file("host")
        self.home = self.root / "home"
        self.ran = set()  # Commands, and texts of blocks that are none, as they are printed.
        self._programs = self.root / "programs"
        self.servers = []
        for folder in (self.home, self._programs, self.path("/run/vm1"), self.path("/etc"), self.path("/var/lib"),
                       self.path("/usr/local/lib")):
            folder.mkdir(parents=True)
        (self.home / "contrib").symlink_to(RECIPES.parent)
        self.env = {"PATH": f"{self._programs}{os.pathsep}{os.environ['PATH']}"}

    def close(self):
        for server in self.servers:
            server.kill()

    def path(self, printed):
        return self.root / printed.lstrip("/")

    def here(self, text):
        """A text of the document, or of a file that it speaks of, as it is on this host."""
        for printed, said in LEFT_OUT.items():
            text = text.replace(printed, said)
        return re.sub(r"(?<![\w.])/(?=(?:etc|run|usr/local|var/lib)/)", f"{self.root}/", text)

    def program(self, name, text):
        """Stands in for one that is not here."""
        self.script(self._programs / name, text)

    def script(self, path, text):
        path.write_text(f"#!/bin/sh\n{self.here(text)}\n", "utf-8")
        path.chmod(0o755)

    def wrote(self, block):
        """Its text is in a file: the whole of it."""
        self.ran.add(block.text)
        return self.here(block.text)

    def _shell(self, *commands):
        """Only bash has <(...); everything else is for any shell."""
        self.ran.update(commands)
        text = self.here("\n".join(commands))
        return ("bash" if "<(" in text else "sh", "-ec", text)

    def run(self, *commands, status=0, answers=()):
        """By one shell, to its end. Returns all that was said; at a terminal, where `answers` are typed behind
        their prompts, if there are any."""
        argv = self._shell(*commands)
        if answers:
            said, ended = self._terminal(argv, answers).end()
            said = said.decode()
        else:
            done = subprocess.run(argv, cwd=self.home, env={**os.environ, **self.env}, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  timeout=PATIENCE_SECONDS, check=False)
            said, ended = done.stdout, done.returncode
        if ended != status:
            raise AssertionError(f"{argv[2]}: status {ended}, not {status}\n{said}")
        return said

    def _terminal(self, argv, answers, env=None, log=None):
        terminal = Terminal(*argv, folder=self.home, env={**self.env, **(env or {})}, log=log)
        self.servers.append(terminal)
        for prompt, line in answers:
            terminal.answer(prompt.encode(), line.encode() + b"\n")
        return terminal

    def serve(self, command, answers=()):
        """One that runs `vnvram serve` at its end: returns that, when it is ready. Ends by stop()."""
        shell, option, text = self._shell(command)
        log = self._workspace.log("vnvram-serve")
        notify = self._workspace.file(f"notify{len(self.servers)}")
        # So that the process that is started, and ended, is the one that serves.
        text = re.sub(r"(^|&& )(?=vnvram serve|ssh )", r"\1exec ", text)
        if answers:
            # The question comes to the terminal, whatever standard error is.
            argv = (shell, option, f"{{ {text}\n}} >>{log} 2>&1")
            return started_ready(notify, lambda env: self._terminal(argv, answers, env, log))
        settings = [f"{name}={value}" for name, value in self.env.items()]
        server = start_notified(["env", f"--chdir={self.home}", *settings, shell, option, text], log, notify)
        self.servers.append(server)
        return server

    def stop(self, server):
        """As an operator does, or systemd."""
        status = server.terminate()
        if status != 0:
            raise AssertionError(f"vnvram serve ended with {status}: {server.log.read_text(errors='replace')}")

    def must_say(self, printed, said):
        """The same, but for what varies."""
        if without_varying(said) != without_varying(self.here(printed)):
            raise AssertionError(f"printed:\n{printed}\nsaid:\n{said}")
