"""One file of two hosts, on NFS: who has it, who takes it over, and what the server does meanwhile.

A real NFS server and two real clients of it, and the real commands, within one guest (harness/nfs_machine.py).
"""

import unittest

from cli.command import IN_USE, NO_SPACE, POISONED, STALE
from harness.nfs_machine import EXPORT, HOSTS, LEASE_SECONDS, NfsMachine
from harness.shows_logs import ShowsLogs
from harness.two_hosts import OTHER, Owner, TwoHosts
from harness.workspace import Workspace


def setUpModule():
    NfsCase.workspace = Workspace()
    unittest.addModuleCleanup(NfsCase.workspace.close)
    NfsCase.guest = NfsMachine(NfsCase.workspace)
    unittest.addModuleCleanup(NfsCase.guest.kill)


class NfsCase(ShowsLogs, TwoHosts, unittest.TestCase):
    """All tests share the guest; each has images of its own."""

    def setUp(self):
        self.image = f"{self.id().rsplit('.', 1)[-1]}.nvram"
        self.guest.run("killall -9 vnvram vnvram-tpm; rm -f /run/*.sock /run/*.log")
        for host in HOSTS:
            self.addCleanup(self.guest.join, host)
        self.addCleanup(self.guest.run, f"rm -f {EXPORT}/*.nvram {EXPORT}/filler")
        self.vnvram("a", "create", "--blob counter:raw:4096")

    def place(self, host):
        return f"/{host}/{self.image}"

    def on_host(self, host, words):
        return self.guest.on(host, words)

    def stored(self):
        """All of the file, as the server has it."""
        return self.guest.must(f"md5sum <{EXPORT}/{self.image}")


class Owners(NfsCase):
    @staticmethod
    def register(owner):
        """The words for more than there is room for."""
        return f"vnvram register {owner.address} --blob eeprom:at24c:900K --blob another:at24c:900K"

    def test_one_owner(self):
        owner = Owner(self, "a", "old").started()
        for number in range(5):
            owner.must_put(number)
            self.assertEqual(self.number("b"), number)  # At once, whatever b has cached.
        self.vnvram("b", "put", "counter /set_up_nfs", IN_USE, f"in use by process {owner.pid} on host-a")
        second = Owner(self, "b", "second")
        self.assertEqual(second.ended(), IN_USE)
        self.vnvram("b", "takeover", "--owner-is-dead", IN_USE, "which has its lock")
        seen = self.info("b")
        self.assertEqual((seen["owner_pid"], seen["owner_host"], seen["owner_seems_alive"]), (int(owner.pid), "host-a", True))
        owner.end()
        self.assertFalse(self.info("b")["locked"])
        there = Owner(self, "b", "there").started()
        there.must_put(7)
        self.assertEqual(self.number("a"), 7)
        self.vnvram("a", "put", "counter /set_up_nfs", IN_USE, "on host-b")
        there.end()
        self.vnvram("a", "check")
        self.assertEqual(self.guest.must(f"ls -A {EXPORT}").split(), ["lost+found", self.image])

    def test_a_killed_owner_is_followed(self):
        for number, host in enumerate(("a", "a", "b", "a")):
            owner = Owner(self, host, f"owner{number}").started()
            owner.must_put(number)
            owner.kill()
            self.assertEqual((self.number(OTHER[host]), self.info(OTHER[host])["owner_seems_alive"]), (number, False))

    def test_an_image_that_grows(self):
        owner = Owner(self, "a", "old", "--grow", "16M").started()
        self.guest.must(f"{self.register(owner)}")
        self.assertGreater(self.info("b")["image_size_bytes"], 4 << 20)
        owner.must_put(3)
        owner.kill()
        self.assertEqual(self.number("b"), 3)
        self.vnvram("b", "check")

    def test_a_full_file_system(self):
        """A commit does not fail for it; what needs room does."""
        owner = Owner(self, "a", "old", "--grow", "16M").started()
        self.guest.run(f"dd if=/dev/zero of={EXPORT}/filler bs=64k; dd if=/dev/zero of={EXPORT}/filler bs=512 oflag=append conv=notrunc")
        for number in range(20):
            owner.must_put(number)
        self.assertEqual(self.number("b"), 19)
        refused = self.guest.run(f"{self.register(owner)} 2>&1")
        self.assertEqual(refused.status, NO_SPACE, refused.output)
        owner.must_put(20)
        refused = self.guest.run(f"{self.on_host('b', 'vnvram')} create /b/another.nvram --tpm2 2>&1")
        self.assertEqual(refused.status, NO_SPACE, refused.output)
        self.assertNotIn("another", self.guest.must(f"ls -A {EXPORT}"))
        self.guest.must(f"rm {EXPORT}/filler")
        self.guest.must(f"{self.register(owner)}")
        owner.end()
        self.vnvram("b", "check")

    def test_the_file_is_removed_by_the_other_host(self):
        owner = Owner(self, "a", "old").started()
        owner.must_put(1)
        self.guest.must(f"{self.guest.on('b', 'rm')} /b/{self.image}")
        answer = owner.put(2)
        self.assertEqual(answer.status, STALE, answer.output)
        self.assertIn("was removed while it was open", answer.output)

    def test_the_file_is_removed_on_its_host(self):
        """Its NFS client keeps it by another name, until its owner ends."""
        owner = Owner(self, "a", "old").started()
        owner.must_put(1)
        self.guest.must(f"{self.on_host('a', 'rm')} {self.place('a')}")
        self.guest.must(f"until grep -q 'was moved while it was open' {owner.log}; do sleep 0.1; done")
        self.assertRegex(self.guest.must(f"ls -A {EXPORT}"), r"\.nfs")
        owner.end()
        self.assertNotIn(".nfs", self.guest.must(f"ls -A {EXPORT}"))


class Server(NfsCase):
    def test_it_is_restarted_under_load(self):
        owner = Owner(self, "a", "old").started()
        self.guest.must(f"i=0; (while [ ! -e /run/enough ] && printf %08d $((i + 1)) | vnvram put {owner.address} counter - "
                        "2>/run/said; do i=$((i + 1)); echo $i >/run/acknowledged; done; echo done >/run/done) &")
        self.guest.must("until [ -s /run/acknowledged ]; do sleep 0.1; done")
        for _ in range(2):
            self.guest.stop_server()
            before = int(self.guest.must("cat /run/acknowledged"))
            self.guest.start_server()
            self.guest.must(f"until [ $(cat /run/acknowledged) -gt {before + 2} ] || [ -e /run/done ]; do sleep 0.1; done")
        self.assertEqual(self.guest.must("cat /run/said"), "")
        self.vnvram("b", "put", "counter /set_up_nfs", IN_USE, "on host-a")  # It has its lock again.
        owner.kill()
        self.guest.must("until [ -e /run/done ]; do sleep 0.1; done")
        acknowledged = int(self.guest.must("cat /run/acknowledged"))
        self.assertIn(self.number("b"), (acknowledged, acknowledged + 1))
        self.vnvram("b", "check")


class CutOff(NfsCase):
    """A host that lives, and has lost its cable."""

    def cut_under_way(self, owner, number):
        """What the host's commit sends has not arrived, and it will send it again: what is longer than a cable lets
        through is dropped before the cable is cut."""
        self.guest.must(f"until [ $(vnvram info /b/{self.image} --json | grep -o 'ring_used_bytes\": *[0-9]*' | grep -o '[0-9]*$') "
                        "= 0 ]; do sleep 0.1; done")
        self.guest.must(self.guest.on(owner.host, "/bin/ip link set eth0 gso_max_segs 1"))
        self.guest.must(f"/bin/ip link set cable-{owner.host} mtu 600")
        owner.begin_to_put(number)
        self.guest.must(f"until {self.guest.on(owner.host, 'cat /proc/net/tcp')} | grep -q ':0801 01 0000[1-9]'; do "
                        "[ ! -e /run/put ] || exit 1; sleep 0.05; done")
        self.guest.cut(owner.host)
        self.guest.must(f"/bin/ip link set cable-{owner.host} mtu 1500")

    def take_over(self, host):
        """When the server has given up the lock of the host that it does not hear of. Who asks before is refused; or has to
        wait, if that host has not only opened the file, but was lent it (a delegation: Linux 6.6 and newer)."""
        command = f"{self.on_host(host, 'vnvram')} takeover {self.place(host)} --owner-is-dead 2>&1"
        answer = self.guest.run(command)
        if answer.status == IN_USE:
            self.assertIn("which has its lock", answer.output)
            self.assertEqual(Owner(self, host, "early").ended(), IN_USE)
            return self.guest.must(f"until {command}; do sleep 0.5; done", seconds=60 + 3 * LEASE_SECONDS)
        self.assertEqual(answer.status, 0, answer.output)
        return answer.output

    def must_be_over(self, owner, last):
        """Nothing of what it had under way, or of what it is asked now, has come to the file."""
        status, said = owner.what_was_put()
        self.assertIn(status, (IN_USE, POISONED), said)
        self.assertNotEqual(owner.put(77).status, 0)
        self.assertEqual(self.number("b"), last)
        return said

    def test_what_was_under_way_does_not_land(self):
        old = Owner(self, "a", "old").started()
        old.must_put(1)
        self.cut_under_way(old, 2)
        self.assertIn("taken over from process", self.take_over("b"))
        new = Owner(self, "b", "new").started()
        for number in (101, 102, 103):
            new.must_put(number)
        new.end()  # Nobody has the lock any more: only that it was lost keeps the first one out.
        before = self.stored()
        self.guest.join("a")
        said = self.must_be_over(old, 103)
        self.assertRegex(said, "another owner has opened it since")
        self.assertRegex(said, "its lock is lost")
        self.assertEqual(self.stored(), before)
        print(said, flush=True)
        old.kill()
        Owner(self, "a", "again").started().must_put(104)
        self.assertEqual(self.number("b"), 104)

    def test_beside_its_successor(self):
        old = Owner(self, "a", "old").started()
        old.must_put(1)
        self.guest.cut("a")
        old.begin_to_put(2)
        self.take_over("b")
        new = Owner(self, "b", "new").started()
        new.must_put(101)
        self.guest.join("a")
        self.assertRegex(self.must_be_over(old, 101), rf"another owner has opened it since .*process {new.pid} on host-b")
        new.must_put(102)
        self.assertEqual(self.number("a"), 102)

    def test_the_server_was_restarted_meanwhile(self):
        """And has waited in vain for who had it."""
        old = Owner(self, "a", "old").started()
        old.must_put(1)
        self.guest.stop_server()
        self.guest.cut("a")
        old.begin_to_put(2)
        self.guest.start_server()
        self.take_over("b")
        new = Owner(self, "b", "new").started()
        new.must_put(101)
        new.end()
        before = self.stored()
        self.guest.join("a")
        self.must_be_over(old, 101)
        self.assertEqual(self.stored(), before)

    def test_nobody_has_come_meanwhile(self):
        """It goes on: the server keeps what nobody else asks for."""
        old = Owner(self, "a", "old").started()
        old.must_put(1)
        self.guest.cut("a")
        old.begin_to_put(2)
        self.guest.must("until grep -q '^status: courtesy' /proc/fs/nfsd/clients/*/info; do sleep 0.5; done")
        self.guest.join("a")
        self.assertEqual(old.what_was_put()[0], 0)
        old.must_put(3)
        self.assertEqual(self.number("b"), 3)

    def test_a_killed_owner_of_a_dead_host(self):
        old = Owner(self, "a", "old").started()
        old.must_put(1)
        self.guest.cut("a")
        self.guest.must(f"kill -9 {old.pid}")  # It ends when the server answers.
        self.take_over("b")
        new = Owner(self, "b", "new").started()
        new.must_put(2)
        self.guest.join("a")
        self.vnvram("a", "put", "counter /set_up_nfs", IN_USE, "on host-b")
        new.end()


class HandOver(NfsCase):
    """As it is between two hosts of a live migration."""

    def setUp(self):
        super().setUp()
        self.vnvram("a", "create", "--tpm2 --force")

    def test_a_tpm_there_and_back(self):
        self.hand_over_there_and_back(self.tpm, ("--incoming", "--tpm2"))

    def test_a_served_machine_there_and_back(self):
        self.hand_over_there_and_back(self.served, ("--incoming",))


if __name__ == "__main__":
    unittest.main()
