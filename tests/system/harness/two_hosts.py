"""Two hosts that have one image, and what each of them runs, within one guest."""

import json
import re

from .nv_machine import NvMachine

OTHER = {"a": "b", "b": "a"}


class Process:
    """A program on one of the hosts that has an image, or waits for one."""

    def __init__(self, case, host, name, words, ready):
        self.case, self.guest, self.host = case, case.guest, host
        self.log = f"/run/{name}.log"
        self.pid = self.guest.must(f"{case.on_host(host, words)} >{self.log} 2>&1 & echo $!")
        self._ready = ready

    def started(self):
        self.guest.must(f"until {self._ready}; do kill -0 {self.pid} || exit 1; sleep 0.2; done", seconds=120)
        return self

    def log_text(self):
        return self.guest.must(f"cat {self.log}")

    def ended(self):
        """By itself; with which status."""
        return self.guest.run(f"wait {self.pid}").status

    def refused(self, status):
        """It does not start; what it says."""
        self.case.assertEqual(self.ended(), status, self.log_text())
        return self.log_text()

    def end(self):
        self.guest.must(f"kill {self.pid} && wait {self.pid}")

    def kill(self):
        self.guest.run(f"kill -9 {self.pid}; wait {self.pid}")


class Owner(Process):
    """`vnvram serve`."""

    def __init__(self, case, host, name, *options, ready=None, place=None):
        self.address = f"unix:/run/{name}.sock"
        super().__init__(case, host, name,
                         f"vnvram serve {place or case.place(host)} --control {self.address} {' '.join(options)}",
                         ready or f"grep -q ': serves /' /run/{name}.log")

    def put(self, number):
        """How it ends, and what is said."""
        return self.guest.run(f"printf %08d {number} | vnvram put {self.address} counter - 2>&1")

    def must_put(self, number):
        answer = self.put(number)
        self.case.assertEqual(answer.status, 0, answer.output)

    def begin_to_put(self, number):
        """Returns at once."""
        self.guest.must(f"rm -f /run/put; (printf %08d {number} | vnvram put {self.address} counter - >/run/said 2>&1; "
                        "echo $? >/run/put.new; mv /run/put.new /run/put) &")

    def what_was_put(self):
        """How what was begun has ended, and what was said."""
        status = self.guest.must("until [ -e /run/put ]; do sleep 0.1; done; cat /run/put")
        return int(status), self.guest.must("cat /run/said")


class TwoHosts:
    """Before unittest.TestCase among the bases of a case that has a `guest`, place(host), where the image is to one of
    the hosts, `a` and `b`, and on_host(host, words): the words of a shell that run a program there."""

    def vnvram(self, host, verb, words="", status=0, message=""):
        """On the image, by the command itself."""
        command = self.on_host(host, f"vnvram {verb} {self.place(host)}")
        answer = self.guest.run(f"{command} {words} 2>&1")
        self.assertEqual(answer.status, status, f"{verb} {words}: {answer.output}")
        self.assertTrue(re.search(message, answer.output), answer.output)
        return answer.output

    def info(self, host):
        return json.loads(self.vnvram(host, "info", "--json"))

    def number(self, host):
        """What is there, beside whoever has it."""
        return int(self.vnvram(host, "get", "counter")[:8])

    def tpm(self, host, name, *options):
        """vnvram-tpm, and what a QEMU has of it."""
        words = f"vnvram-tpm {self.place(host)} --shared --ctrl unix:/run/{name}.sock --pid /run/{name}.pid"
        process = Process(self, host, name, " ".join([words, *options]), f"[ -s /run/{name}.pid ]")
        return process.started(), NvMachine(self.guest, f"/run/{name}.sock", name)

    def served(self, host, name, *options):
        """The same of `vnvram serve`."""
        owner = Owner(self, host, name, "--shared", f"--tpm unix:/run/{name}.tpm.sock", *options,
                      ready=f"[ -S /run/{name}.tpm.sock ]")
        return owner.started(), NvMachine(self.guest, f"/run/{name}.tpm.sock", name)

    def hand_over_there_and_back(self, start, incoming):
        """`start`: one of the two above; `incoming`: its words where a machine comes."""
        here, machine = start("a", "first")
        machine.must("start")
        machine.must("define")
        machine.must("increment")
        count = machine.must("counter")
        for number, host in enumerate(("b", "a", "b", "a")):
            there, new = start(host, f"there{number}", *incoming)
            machine.must("fetch /run/state")
            new.must("take /run/state")
            self.assertEqual(new.must("counter"), count)
            new.must("increment")
            count += 1
            self.assertEqual(new.must("counter"), count)
            self.assertFalse(self.info(OTHER[host])["sealed"])
            self.assertNotEqual(machine.ask("go_on")[0], 0)
            self.assertNotEqual(machine.ask("increment")[0], 0)
            machine.end()
            here.kill()
            here, machine = there, new
        machine.must("fetch /run/state")  # A migration that did not come about.
        machine.must("go_on")
        machine.must("increment")
        self.assertEqual(machine.must("counter"), count + 1)
