"""A logical volume of two hosts: one image on it, handed over, overtaken and taken over.

Real iSCSI, and a volume over each host's way to the LUN, both of them active, within one guest (harness/san_machine.py).
A volume's lock manager is not there: it is what two hosts have that did not keep to it.
"""

import unittest

from cli.command import ABSENT, IN_USE, POISONED, UNSUPPORTED
from guest.guest_image import SAN_MODULES, VOLUME_MODULES, module_files, program_files
from harness.nv_machine import nv_machine_files
from harness.san_machine import HOSTS, SIZE_BYTES, start_san_machine
from harness.shows_logs import ShowsLogs
from harness.two_hosts import Owner, TwoHosts
from harness.workspace import Workspace

SECTOR_BYTES = 512
BEGIN_SECTORS = 2048


class SharedVolume(ShowsLogs, TwoHosts, unittest.TestCase):
    """All tests share the guest; each has an image of its own."""

    @classmethod
    def setUpClass(cls):
        cls.workspace = Workspace()
        cls.addClassCleanup(cls.workspace.close)
        files = {**module_files(VOLUME_MODULES), **nv_machine_files(cls.workspace), **program_files("/usr/sbin/dmsetup", "/usr/sbin/lvm")}
        cls.guest = start_san_machine(cls.workspace, SAN_MODULES + VOLUME_MODULES, files)
        cls.addClassCleanup(cls.guest.kill)
        cls.guest.must("mkdir -p /etc/lvm /run/lock/lvm /run/lvm /var/lock")
        length = SIZE_BYTES // SECTOR_BYTES - BEGIN_SECTORS
        for host, (disk, _) in HOSTS.items():
            cls.guest.must(f"DM_DISABLE_UDEV=1 dmsetup create vm-{host} --table '0 {length} linear {disk} {BEGIN_SECTORS}'; "
                           f"[ -b /dev/mapper/vm-{host} ]")

    def setUp(self):
        self.guest.run("killall -9 vnvram vnvram-tpm; rm -f /run/*.sock /run/*.log")
        self.guest.must(f"dd if=/dev/zero of={self.place('a')} bs=1M count=15 conv=fsync 2>/dev/null")
        self.vnvram("a", "create", "--blob counter:raw:4096")

    def place(self, host):
        return f"/dev/mapper/vm-{host}"

    def on_host(self, host, words):
        return words

    def test_a_tpm_there_and_back(self):
        self.vnvram("a", "create", "--tpm2 --force")
        self.hand_over_there_and_back(self.tpm, ("--incoming", "--tpm2"))

    def test_a_served_machine_there_and_back(self):
        self.vnvram("a", "create", "--tpm2 --force")
        self.hand_over_there_and_back(self.served, ("--incoming",))

    def test_one_host_after_the_other(self):
        for number, host in enumerate(("a", "b", "a")):
            owner = Owner(self, host, f"owner{number}").started()
            owner.must_put(number)
            self.assertEqual((self.number("a"), self.number("b")), (number, number))
            owner.end()

    def test_who_is_overtaken_commits_nothing_more(self):
        """Nothing keeps the second one out, and nothing that the first was answered is lost."""
        old = Owner(self, "a", "old").started()
        for number in range(5):
            old.must_put(number)
        new = Owner(self, "b", "new").started()
        self.assertEqual(self.number("b"), 4)
        answer = old.put(66)
        self.assertIn(answer.status, (IN_USE, POISONED), answer.output)
        self.assertRegex(answer.output, rf"another owner has opened it since \(epoch \d+, process {new.pid} on ")
        new.must_put(5)
        self.assertNotEqual(old.put(67).status, 0)
        old.kill()
        self.assertEqual(self.number("a"), 5)
        new.must_put(6)
        new.end()
        self.vnvram("a", "check")

    def test_who_is_overtaken_under_load(self):
        old = Owner(self, "a", "old").started()
        self.guest.must(f"i=0; (while printf %08d $((i + 1)) | vnvram put {old.address} counter - 2>/run/said; "
                        "do i=$((i + 1)); echo $i >/run/acknowledged; done; echo done >/run/done) &")
        self.guest.must("until [ -s /run/acknowledged ] && [ $(cat /run/acknowledged) -ge 5 ]; do sleep 0.1; done")
        new = Owner(self, "b", "new").started()
        self.guest.must("until [ -e /run/done ]; do sleep 0.1; done")
        self.assertRegex(self.guest.must("cat /run/said"), "another owner has opened it since")
        acknowledged = int(self.guest.must("cat /run/acknowledged"))
        self.assertIn(self.number("b"), (acknowledged, acknowledged + 1))
        new.must_put(acknowledged + 2)
        new.kill()
        self.assertEqual(self.number("a"), acknowledged + 2)
        self.vnvram("a", "check")

    def test_a_dead_host_takes_a_word(self):
        old = Owner(self, "a", "old").started()
        old.must_put(1)
        old.kill()
        self.vnvram("b", "takeover", "", IN_USE, "has not closed it, and this storage cannot shut it out")
        self.vnvram("b", "takeover", "--owner-is-dead", message="taken over from process")
        new = Owner(self, "b", "new").started()
        self.assertEqual(self.number("b"), 1)
        new.must_put(2)
        new.end()

    def test_a_volume_that_is_active_on_one_host(self):
        """LVM's own, which names its devices alike on both hosts: so it is active on one of them here as well."""
        def lvm(host, words):
            self.guest.must(f"DM_DISABLE_UDEV=1 lvm {words} --devices {self.place(host)} 2>&1")
        self.guest.must(f"dd if=/dev/zero of={self.place('a')} bs=1M count=15 conv=fsync 2>/dev/null")
        lvm("a", f"pvcreate {self.place('a')}")
        lvm("a", f"vgcreate -s 1M vms {self.place('a')}")
        lvm("a", "lvcreate -an -Zn -Wn -L 8M -n vm1 vms")
        for number, host in enumerate(("a", "b", "a")):
            lvm(host, "lvchange -ay vms/vm1")
            if number == 0:
                self.guest.must("vnvram create /dev/vms/vm1 --blob counter:raw:4096")
            owner = Owner(self, host, f"volume{number}", place="/dev/vms/vm1").started()
            owner.must_put(number)
            owner.end()
            self.assertEqual(int(self.guest.must("vnvram get /dev/vms/vm1 counter")[:8]), number)
            lvm(host, "lvchange -an vms/vm1")
            self.assertEqual(self.guest.run("vnvram info /dev/vms/vm1").status, ABSENT)

    def test_it_is_not_reserved(self):
        owner = Owner(self, "a", "old", "--reservation")
        self.assertEqual(owner.ended(), UNSUPPORTED, owner.log_text())


if __name__ == "__main__":
    unittest.main()
