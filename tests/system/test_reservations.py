"""One LUN of two hosts: who has it reserved, and who takes it over.

Real iSCSI, a real target with SCSI's persistent reservations, and the real command, within one guest
(harness/san_machine.py).
"""

import unittest

from cli.command import IN_USE, SEALED, UNSUPPORTED
from guest.guest_image import SAN_MODULES
from harness import two_hosts
from harness.on_san import OnSan
from harness.san_machine import HOSTS, start_san_machine
from harness.shows_logs import ShowsLogs
from harness.workspace import Workspace

A, B = HOSTS["a"][0], HOSTS["b"][0]


class Owner(two_hosts.Owner):
    """`vnvram serve` on one of the two hosts, which is named by its device."""

    def __init__(self, case, name, device, *options):
        super().__init__(case, device, name, *options, place=device)

    def kill(self):
        super().kill()
        self.guest.must(f"rm -f {self.address[5:]}")


class Reservations(OnSan, ShowsLogs, unittest.TestCase):
    """All tests share the guest; each of them leaves the LUN to nobody."""

    @classmethod
    def setUpClass(cls):
        cls.workspace = Workspace()
        cls.addClassCleanup(cls.workspace.close)
        cls.guest = start_san_machine(cls.workspace, SAN_MODULES)
        cls.addClassCleanup(cls.guest.kill)

    def setUp(self):
        self.guest.run("killall -9 vnvram; rm -f /run/*")
        self.guest.must(f"dd if=/dev/zero of={A} bs=1M count=16 conv=fsync 2>/dev/null")
        self.vnvram(f"create {A} --blob counter:raw:4096")

    def number(self, device):
        """What is on the LUN, by way of one of the hosts, beside whoever has it."""
        return int(self.vnvram(f"get {device} counter")[:8])

    def test_who_is_shut_out_commits_nothing_more(self):
        old = Owner(self, "old", A, "--reservation").started()
        old.must_put(1)
        self.assertEqual(self.number(B), 1)
        # Another host writes nothing meanwhile, whether it asks for the reservation or not.
        self.vnvram(f"put {B} counter /set_up_san", IN_USE, f"in use by process {old.pid} on")
        self.assertRegex(Owner(self, "second", B, "--reservation").refused(IN_USE), "in use by process")
        old.must_put(2)

        # He writes all the time, and is stopped at some moment of it.
        self.guest.must(f"i=2; (while printf %08d $((i + 1)) | vnvram put {old.address} counter - 2>/run/said; "
                        "do i=$((i + 1)); echo $i >/run/acknowledged; done; echo done >/run/done) &")
        self.guest.must("until [ -s /run/acknowledged ] && [ $(cat /run/acknowledged) -ge 5 ]; do sleep 0.1; done")
        self.vnvram(f"takeover {B}", message="taken over from process")
        self.guest.must("until [ -e /run/done ]; do sleep 0.1; done")
        said = self.guest.must("cat /run/said")
        self.assertRegex(said, "another owner has opened it since|another host has reserved it")
        acknowledged = int(self.guest.must("cat /run/acknowledged"))
        last = self.number(B)
        print(f"taken over at number {last}, acknowledged {acknowledged}: {said}", flush=True)
        self.assertIn(last, (acknowledged, acknowledged + 1))  # Written, and the answer came too late.
        self.assertNotEqual(old.put(last + 1).status, 0)
        self.assertEqual(self.number(B), last)
        old.kill()
        self.assertRegex(Owner(self, "again", A, "--reservation").refused(IN_USE), "another host has reserved it")
        self.vnvram(f"put {A} counter /set_up_san", IN_USE, "another host has reserved it")
        self.assertEqual(self.number(A), last)

        # Nor would anything else from there reach the LUN, whoever writes it: of no command of ours.
        self.must_not_write(A)

        new = Owner(self, "new", B, "--reservation").started()
        new.must_put(last + 1)
        new.end()  # In good order, and the LUN is anybody's.
        back = Owner(self, "back", A, "--reservation").started()
        back.must_put(last + 2)
        back.end()
        self.assertEqual(self.number(B), last + 2)
        self.vnvram(f"check {B}")

    def test_who_stood_still_says_who_has_it(self):
        old = Owner(self, "old", A, "--reservation").started()
        old.must_put(1)
        self.guest.must(f"kill -STOP {old.pid}")
        self.vnvram(f"takeover {B}", message="taken over from process")
        new = Owner(self, "new", B).started()  # On what is its host's already.
        new.must_put(2)
        self.guest.must(f"kill -CONT {old.pid}")
        answer = old.put(3)
        self.assertRegex(answer.output, rf"another owner has opened it since \(epoch \d+, process {new.pid} on ")
        new.must_put(4)
        self.assertEqual(self.number(A), 4)
        new.end()
        # Who was not asked to reserve it has left it as it was: what was shut out stays so.
        old.kill()
        self.vnvram(f"put {A} counter /set_up_san", IN_USE, "another host has reserved it")
        self.vnvram(f"takeover {A}", message="nobody had it in use")
        self.vnvram(f"put {A} counter /set_up_san")
        self.vnvram(f"put {B} counter /set_up_san", IN_USE)
        Owner(self, "last", A, "--reservation").started().end()
        self.vnvram(f"put {B} counter /set_up_san")

    def test_a_killed_owner_starts_again_on_its_host(self):
        old = Owner(self, "old", A, "--reservation").started()
        old.must_put(1)
        old.kill()
        self.vnvram(f"put {B} counter /set_up_san", IN_USE, f"in use by process {old.pid} on")
        again = Owner(self, "again", A, "--reservation").started()
        again.must_put(2)
        self.assertEqual(self.number(B), 2)
        again.kill()
        self.vnvram(f"put {A} counter /set_up_san")  # Whose host has it reserved.
        taker = Owner(self, "taker", B, "--reservation", "--take-over").started()
        taker.must_put(3)
        taker.end()
        self.vnvram(f"put {A} counter /set_up_san")  # It was given back.

    def test_what_a_dead_host_has_reserved_and_sealed_can_be_unsealed(self):
        Owner(self, "old", A, "--reservation").started().kill()
        self.vnvram(f"seal {A}")  # Whose host has it reserved.
        # Who cannot become its owner there lets nobody else write by trying.
        self.assertRegex(Owner(self, "sealed", A, "--reservation").refused(SEALED), "sealed at generation")
        self.vnvram(f"unseal {B}", IN_USE, "another host has reserved it")
        self.vnvram(f"takeover {B}", SEALED, "unseal")
        self.must_not_write(A)
        self.vnvram(f"unseal {B}")
        new = Owner(self, "new", B, "--reservation").started()
        new.must_put(1)
        new.end()

    def test_who_cannot_open_it_gives_nothing_up_that_its_host_held(self):
        Owner(self, "old", A, "--reservation").started().kill()
        self.vnvram(f"takeover {B}")
        self.vnvram(f"seal {B}")
        Owner(self, "refused", B, "--reservation").refused(SEALED)
        self.must_not_write(A)
        self.vnvram(f"unseal {B}")
        Owner(self, "new", B, "--reservation").started().end()
        self.vnvram(f"put {A} counter /set_up_san")  # Nobody has it any more.

    def test_a_confined_process_gives_it_back(self):
        self.vnvram(f"register {A} --tpm2")
        tpm = two_hosts.Process(self, A, "tpm", f"vnvram-tpm {A} --ctrl unix:/run/tpm.ctrl --server unix:/run/tpm.commands "
                                "--startup clear --tpm2 --reservation --pid /run/tpm.pid", "[ -s /run/tpm.pid ]").started()
        self.guest.must(f"until grep -q '^Seccomp:.2' /proc/{tpm.pid}/status; do kill -0 {tpm.pid} || exit 1; sleep 0.2; done",
                        seconds=120)
        self.vnvram(f"put {B} counter /set_up_san", IN_USE, f"in use by process {tpm.pid} on")
        tpm.end()
        self.vnvram(f"put {B} counter /set_up_san")

    def test_what_nobody_has_reserved_takes_a_word(self):
        old = Owner(self, "old", A).started()
        old.must_put(1)
        old.kill()
        self.vnvram(f"takeover {B}", IN_USE, "has not closed it, and this storage cannot shut it out")
        self.vnvram(f"takeover {B} --owner-is-dead", message="taken over from process")
        self.assertEqual(self.number(A), 1)

    def test_a_part_of_a_device_is_not_reserved(self):
        part = self.make_partition(A)
        self.vnvram(f"create {part} --blob counter:raw:4096")
        self.assertRegex(Owner(self, "part", part, "--reservation").refused(UNSUPPORTED), "has no persistent reservations")
        Owner(self, "whole", part).started().end()


if __name__ == "__main__":
    unittest.main()
