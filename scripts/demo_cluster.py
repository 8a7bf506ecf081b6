"""The demo of a cluster: a machine whose TPM is in an RBD image moves to another host that has the same
image, that host dies without a word, and the machine goes on where it came from.

A real Ceph cluster of one monitor and one OSD; the two hosts are processes of this one.
"""

import sys
import time

from demo_steps import (COUNTER, INCREMENT, TPM_OPTIONS, Demo, define_counter, expect, in_guest, kept, on_host, say,
                        seal, short, show)
from guest.guest_image import guest_image
from harness.ceph_cluster import CephCluster
from harness.qemu import Qemu
from harness.recipe import recipe
from harness.tpm_process import TpmProcess

SECRET = "outlives-its-host"


class Host:
    """Of the cluster's, for one machine."""

    def __init__(self, demo, name, image):
        self._demo = demo
        self.name = name
        self._image = image
        self.tpm = self.qemu = None

    def power_on(self, *words, incoming=None):
        self.tpm = self._demo.start(TpmProcess(self._demo.workspace, self._image, options=words))
        show(f"{self.name}$", " ".join(["vnvram-tpm", short(self._image), "--ctrl unix:tpm.sock", *words, "&"]))
        self.qemu = self._demo.start(Qemu(self._demo.workspace, guest_image(), self.tpm.control, incoming=incoming))
        show(f"{self.name}$", f"qemu-system-x86_64 {TPM_OPTIONS} {'-incoming defer ' if incoming else ''}&")
        return self.qemu

    def die(self):
        """Nobody says goodbye to the cluster."""
        self.qemu.kill()
        self.tpm.kill()


def play(demo):
    say("A cluster, and an image in it")
    cluster = demo.start(CephCluster(demo.workspace))
    image = f"rbd:rbd/vm1:conf={cluster.conf}"
    on_host("create", image, "--tpm2")

    say("Host A: a machine, its TPM in that image")
    first = Host(demo, "A", image)
    qemu = first.power_on("--shared").wait_ready()
    define_counter(qemu)
    in_guest(qemu, INCREMENT)
    seal(qemu, SECRET)
    before = kept(qemu)

    say("Host B stands by, with the same image, and the machine moves")
    second = Host(demo, "B", image)
    second.power_on("--shared", "--incoming", incoming="defer")
    show("A$", "contrib/recipes/migrate.py source-qmp destination-qmp unix:migration",
         recipe("migrate.py", first.qemu.operator, second.qemu.operator, f"unix:{demo.file('migration')}"))
    first.qemu.quit()
    first.tpm.stop()
    qemu = second.qemu
    expect(kept(qemu), before, "what the guest remembers")
    in_guest(qemu, INCREMENT)
    moved = kept(qemu)
    on_host("info", image)

    say("Host B dies without a word")
    second.die()

    say("Host A takes over: B is shut out first, dead or alive")
    begin = time.monotonic()
    on_host("takeover", image)
    print(f"   {time.monotonic() - begin:.1f} s; waiting for the lock of a dead owner takes half a minute")
    qemu = Host(demo, "A", image).power_on().wait_ready()
    expect(kept(qemu), moved, "what the guest remembers")
    in_guest(qemu, INCREMENT)
    expect(int(kept(qemu)[0], 16), int(before[0], 16) + 2, "the counter")
    show("A$", f"# {COUNTER} has counted on, and the secret is there")


if __name__ == "__main__":
    sys.exit(Demo("demo-cluster", play).run())
