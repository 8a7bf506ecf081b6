"""One LUN that two hosts see, which is reserved for the one that has the machine: it goes over with the image.

As in test_reservations.py the LUN is real, of a real target, and the two hosts are two logins of one guest.
"""

import re
import unittest

from cli.command import IN_USE, SEALED, UNSUPPORTED
from harness.reserved_hosts import A, B, Case, Guest, Host, TAKES_RESERVATIONS, ask, start_guest

FOREIGN_KEY = 0xABCDEF
KEY_OF_OURS = 0x764E560000000001


def setUpModule():
    start_guest()


class HandOver:
    """For both programs."""

    def host(self, name, device, *options):
        return Host(self, name, device, "--reservation", *options)

    def test_there_and_back_again(self):
        here = self.host("a", A).started()
        count = here.powered_on()
        there = self.host("b", B, "--incoming").started()
        for _ in range(2):
            self.must_have(here, count + 1)
            here.fetch()
            self.assertEqual(self.holders(), ("nobody", "nobody"))
            self.assertTrue(self.info(A)["sealed"])
            there.must_take()
            self.must_have(there, count + 2)
            self.must_not_go_on(here)
            self.must_have(there, count + 3)
            here.disconnect()
            here, there, count = there, here.connected(), count + 3
        there.disconnect()
        here.end()
        self.assertEqual(self.holders(), ("nobody", "nobody"))

    def test_what_is_taken_back_is_reserved_again(self):
        source = self.host("a", A).started()
        count = source.powered_on()
        for number in range(2):
            source.fetch()
            self.assertEqual(self.holders(), ("nobody", "nobody"))
            self.assertEqual(source.go_on(), 0, source.log_text())
            self.must_have(source, count + number + 1)
        source.end()

    def test_only_one_of_them_reserves(self):
        source = self.host("a", A).started()
        count = source.powered_on()
        target = Host(self, "b", B, "--incoming").started()
        source.fetch()
        target.must_take()
        self.assertEqual(target.count(), count + 1)
        self.assertEqual(self.holders(), ("nobody", "nobody"))
        source.disconnect()
        source.connected()
        target.fetch()
        source.must_take()
        self.must_have(source, count + 2)
        source.end()
        target.disconnect()

    def test_it_cannot_be_given_back(self):
        """The target takes no such commands for a while."""
        source = self.host("a", A).started()
        count = source.powered_on()
        Guest.shell.must(f"echo 0 >{TAKES_RESERVATIONS}")
        said = source.fetch_refused()
        self.assertRegex(said, "cannot give its reservation back")
        self.assertRegex(said, "the next owner here goes on with it, and another host takes it")
        self.assertNotEqual(ask("a_guest.increment()"), 0)  # Nor is it reserved again yet.
        Guest.shell.must(f"echo 1 >{TAKES_RESERVATIONS}")
        self.assertEqual(self.holders(), ("this_host", "another_host"))  # As it was.
        self.must_have(source, count + 1)
        source.fetch()
        target = self.host("b", B, "--incoming").started()
        target.must_take()
        self.must_have(target, count + 2)
        source.disconnect()
        target.end()

    def test_a_host_has_reserved_what_was_let_go(self):
        """A process there has begun to open it, and has died of that."""
        source = self.host("a", A).started()
        count = source.powered_on()
        target = self.host("b", B, "--incoming").started()
        source.fetch()
        source.kill()
        ask(f'reserve("{A}", {KEY_OF_OURS})')
        self.assertNotEqual(target.take(), 0)
        self.assertRegex(target.log_text(), r"another host has reserved it \(end its owner there; if that host is dead: vnvram takeover here")
        self.assertTrue(self.info(B)["sealed"])
        self.vnvram(f"takeover {B}", SEALED)  # Which has shut out who is dead, and leaves the seal.
        target.must_take()
        self.must_have(target, count + 1)
        target.end()

    def test_of_a_dead_host_it_is_taken(self):
        source = self.host("a", A).started()
        count = source.powered_on()
        target = self.host("b", B, "--incoming").started()
        target.end()
        source.kill()
        self.vnvram(f"takeover {B}", message="taken over from process")
        new = self.host("b", B).started()
        self.assertEqual(ask("b.init()"), 0, new.log_text())
        self.assertEqual(ask("b_guest.startup()"), 0)
        self.must_have(new, count + 1)
        self.assertIn("in use by process", self.host("again", A).refused(IN_USE))
        new.end()

    def test_what_was_reserved_before_is_not_given_back_unasked(self):
        source = self.host("a", A).started()
        count = source.powered_on()
        source.kill()
        unasked = Host(self, "a", A).started()
        self.assertEqual(ask("a.init()"), 0, unasked.log_text())
        self.assertEqual(ask("a_guest.startup()"), 0)
        self.assertIn("this host has it reserved from before", unasked.log_text())  # Said at the start already.
        self.assertRegex(unasked.fetch_refused(), "this host has it reserved from before.*start what serves it with --reservation")
        self.must_have(unasked, count + 1)
        unasked.end()
        asked = self.host("a", A).started()
        self.assertEqual(ask("a.init()"), 0, asked.log_text())
        self.assertEqual(ask("a_guest.startup()"), 0)
        asked.fetch()
        self.assertEqual(self.holders(), ("nobody", "nobody"))
        asked.kill()

    def test_what_the_switch_would_lack_is_said_at_the_start(self):
        part = self.make_partition(B)
        self.vnvram(f"create {part} --tpm2")
        self.assertIn("has no persistent reservations", self.host("part", part, "--incoming").refused(UNSUPPORTED))
        Guest.shell.must(f"dd if=/dev/zero of={B} bs=1M count=2 conv=fsync 2>/dev/null; blockdev --rereadpt {B}")
        self.vnvram(f"create {A} --force --tpm2")
        ask(f'reserve("{A}", {FOREIGN_KEY})')
        self.assertIn("something that is not vNVRAM has reserved it", self.host("foreign", B, "--incoming").refused(IN_USE))
        ask(f'give_back("{A}")')
        Guest.shell.must(f"chown 1000 {B}; chmod 777 /run")
        user = UserHost(self, "user", B, "--reservation", "--incoming")
        self.assertRegex(user.refused(UNSUPPORTED), r"this process has no right to \(be root, or have CAP_SYS_RAWIO")


class UserHost(Host):
    """Started by somebody who is not root."""

    def __init__(self, case, name, *options):
        words = case.words
        case.words = lambda *of_host: f"su machine -c '{words(*of_host)}'"
        try:
            super().__init__(case, name, *options)
        finally:
            case.words = words


class OfATpm(HandOver, Case):
    @staticmethod
    def words(host, *options):
        version = ("--tpm2",) if "--incoming" in options else ()
        return " ".join(["exec vnvram-tpm", host.device, "--shared", "--ctrl", f"unix:{host.tpm}", *version, *options])

    def test_as_another_user(self):
        """Who gives up what root may keeps the right to reserve, and is confined all the same."""
        Guest.shell.must(f"chown 1000 {A} {B}")
        source = self.host("a", A, "--user", "machine").started()
        count = source.powered_on()
        target = self.host("b", B, "--user", "machine", "--incoming").started()
        for host in (source, target):
            status = Guest.shell.must(f"cat /proc/{host.pid}/status")
            self.assertRegex(status, r"Uid:\s1000\s1000")
            self.assertRegex(status, r"Seccomp:\s2")
            self.assertRegex(status, r"CapPrm:\s0*220000\n|CapPrm:\s0*20000\n")  # CAP_SYS_ADMIN and CAP_SYS_RAWIO.
        source.fetch()
        target.must_take()
        self.must_have(target, count + 1)
        source.disconnect()
        source.connected()
        target.fetch()
        source.must_take()
        self.must_have(source, count + 2)
        source.end()
        target.disconnect()


class OfAMachine(HandOver, Case):
    @staticmethod
    def words(host, *options):
        return " ".join(["exec vnvram serve", host.device, "--shared", "--control", f"unix:/run/{host.name}.sock",
                         "--tpm", f"unix:{host.tpm}", *options])

    def test_the_next_owner_of_the_same_host(self):
        """What an owner that was killed has reserved is reserved by the next one, and what it has let go is not."""
        source = self.host("a", A).started()
        count = source.powered_on()
        self.kill_owner(source)
        self.must_have(source, count + 1)
        source.fetch()
        self.kill_owner(source)
        self.assertEqual(self.holders(), ("nobody", "nobody"))
        target = self.host("b", B, "--incoming").started()
        self.kill_owner(target)
        target.must_take()
        self.must_have(target, count + 2)
        self.must_not_go_on(source)
        source.disconnect()
        target.end()

    def kill_owner(self, host):
        """And wait for the next."""
        owner = f"$(ps -o pid,ppid,comm | awk '$2 == {host.pid} && $3 == \"vnvram\" {{ print $1 }}')"
        Guest.shell.must(f"old={owner}; kill -9 $old; until new={owner}; [ -n \"$new\" -a \"$new\" != $old ]; do sleep 0.1; done")
        self.vnvram(f"status unix:/run/{host.name}.sock")


class Looks(Case):
    """What `info` and `can-run` say of a reservation."""

    def words(self, *_):
        raise NotImplementedError

    def said(self, device, *words):
        """By both, and how the second one ends."""
        answer = Guest.shell.run(f"vnvram can-run {device} {' '.join(words)} 2>&1")
        return self.vnvram(f"info {device}"), answer.output, answer.status

    def test_nobodys(self):
        for text in self.said(A)[:2]:
            self.assertIn("nobody has reserved it, and this host can", text)
        found = self.info(A)["reservation"]
        self.assertEqual(found, {"holder": "nobody", "key": None, "possible": True, "reason": None})

    def test_a_hosts(self):
        ask(f'reserve("{A}", {KEY_OF_OURS})')
        info, can_run, status = self.said(A)
        for text in (info, can_run):
            self.assertIn(f"this host has reserved it (key {KEY_OF_OURS:#x})", text)
        self.assertEqual(status, 0, can_run)
        info, can_run, status = self.said(B)
        for text in (info, can_run):
            self.assertIn(f"another host has reserved it (key {KEY_OF_OURS:#x})", text)
        self.assertEqual(status, IN_USE, can_run)
        self.assertEqual(self.said(B, "--incoming")[2], 0)
        self.assertEqual(self.holders(), ("this_host", "another_host"))  # Nor has a look changed anything.
        self.must_not_write(B)

    def test_something_elses(self):
        ask(f'reserve("{A}", {FOREIGN_KEY})')
        for device in (A, B):
            for text in self.said(device)[:2]:
                self.assertIn(f"something that is not vNVRAM has reserved it (key {FOREIGN_KEY:#x})", text)
        self.assertFalse(self.info(A)["reservation"]["possible"])

    def test_who_may_not_look(self):
        Guest.shell.must(f"chown 1000 {A}")
        said = Guest.shell.must(f"su machine -c 'vnvram info {A} && vnvram can-run {A}'")
        self.assertEqual(len(re.findall("this process has no right to", said)), 2, said)


if __name__ == "__main__":
    unittest.main()
