"""A Ceph cluster of its own for a test: one monitor and one OSD on the loopback address, with real disks'
semantics (BlueStore in a sparse file) and a pool "rbd". Nothing of it outlives the test.

As a program (python3 -m harness.ceph_cluster [--freezes]) it has one until its standard input ends, for tests that are
not Python: it prints "up CONF", and answers each line that it is given with a line "done N.", the Nth, with "failed: ..." in
front of it if it has failed. A line is
kill, restart, freeze or thaw, which concern the OSD, kill-monitor, restart-monitor, or a command line of the cluster's tools."""

import os
import pathlib
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid

from .child import Child, Deadline, PATIENCE_SECONDS
from .workspace import Workspace

POOL = "rbd"
_DISK_BYTES = 2 << 30
# Below those that the kernel gives to whoever connects.
_PORTS = range(20000, 32000)
_PORT_TRIES = 20

# Of Debian 13 the OSD's own idea of where its classes are is a relative path.
_CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{port}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
keyring = {folder}/keyring
auth cluster required = {auth}
auth service required = {auth}
auth client required = {auth}
run dir = {folder}
crash dir = {folder}/crash
mon data = {folder}/mon
osd data = {folder}/osd
log file = {folder}/$name.log
mon cluster log file = {folder}/cluster.log
debug rocksdb = 0
osd objectstore = bluestore
osd class dir = {classes}
bluestore block size = {disk_bytes}
# Small: many of these run beside each other.
bluestore cache autotune = false
bluestore cache size = 33554432
# One of everything is enough.
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon allow pool delete = true
# The disk of a test machine may be nearly full.
mon data avail warn = 1
mon data avail crit = 0
# Nobody else has to agree, or to be waited for.
paxos propose interval = 0.05
paxos min wait = 0.01
osd mon shutdown timeout = 1
# Of 20 s.
osd pool default read lease ratio = {lease_ratio}
# How long a client that was killed keeps its lock: 30 s where nothing is said.
osd client watch timeout = 15
[client]
log file =
admin socket =
"""


def _free_port():
    """Free now: whoever binds it may find that somebody was faster."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class CephCluster:
    """Up when it is made. `conf` is its configuration file, what CEPH_CONF is to be.

    For how long may an OSD serve reads without having been seen by its replicas? One that was killed is
    waited for so long when it comes back: 1 s here. One that `freezes` must not stand still for longer:
    with an operation in its queue it never gets out of that, as no replica is there to say so
    (Ceph's own fault: one OSD, kill -STOP, kill -CONT). So there it may for ten minutes, and is not to be killed."""

    def __init__(self, workspace, cephx=False, freezes=False):
        self.folder = workspace.file("ceph")
        self.folder.mkdir()
        self.conf = self.folder / "ceph.conf"
        self.keyring = self.folder / "keyring"
        self._log = workspace.log("ceph")
        self._cephx = cephx
        self._freezes = freezes
        self.monitor = self.osd = None
        try:
            self._make()
        except BaseException:
            self.end()
            raise

    @property
    def environment(self):
        """For what is to find it by itself."""
        ours = {name: value for name, value in os.environ.items()
                if name not in ("CEPH_ARGS", "CEPH_KEYRING")}
        return {**ours, "CEPH_CONF": str(self.conf)}

    def run(self, *words, seconds=60, check=True, **options):
        """A program of Ceph's, which must succeed; returns what it says, without its last newline."""
        done = subprocess.run([str(word) for word in words], env=self.environment, check=False,
                              timeout=seconds, stdin=options.pop("stdin", subprocess.DEVNULL),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{words}: {done.returncode}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode(errors="replace").rstrip("\n")

    def ceph(self, *words, **options):
        return self.run("ceph", "--connect-timeout", "20", *words, **options)

    def rbd(self, *words, **options):
        return self.run("rbd", *words, **options)

    def _make(self):
        self._fsid = str(uuid.uuid4())
        for name in ("osd", "crash"):
            (self.folder / name).mkdir()
        self._make_monitor()
        disk = str(uuid.uuid4())
        self.ceph("osd", "new", disk, "0")
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        self.start_osd()
        self._until("the OSD is up", self._osd_is_up)
        self._make_pool()

    def _make_pool(self):
        self.ceph("osd", "pool", "create", POOL, "8")
        self.rbd("pool", "init", POOL)

    def make_pool_anew(self):
        """With nothing in it."""
        self.ceph("osd", "pool", "rm", POOL, POOL, "--yes-i-really-really-mean-it")
        self._make_pool()

    def _make_monitor(self):
        """On a port that nobody has, which turns out when it binds it."""
        for tries in range(1, _PORT_TRIES + 1):
            self._configure(_free_port())
            try:
                self.start_monitor()
                self._until("the monitor answers", self._is_our_monitor)
                return
            except AssertionError:
                if self.monitor.returncode is None or tries == _PORT_TRIES:
                    raise

    def _configure(self, port):
        self.conf.write_text(_CONFIGURATION.format(
            fsid=self._fsid, port=port, folder=self.folder, disk_bytes=_DISK_BYTES,
            classes=next(pathlib.Path("/usr/lib").glob("*/rados-classes")),
            lease_ratio=30 if self._freezes else 0.05,
            auth="cephx" if self._cephx else "none"), encoding="ascii")
        if not self.keyring.exists():
            self._make_keys()
        monitors = self.folder / "monitors"
        data = self.folder / "mon"
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir()
        self.run("monmaptool", "--create", "--clobber", "--fsid", self._fsid, "--addv", "a",
                 f"[v2:127.0.0.1:{port}/0]", monitors)
        self.run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monitors, "--keyring", self.keyring)

    def _is_our_monitor(self):
        """Not another cluster's, which was faster."""
        return self.ceph("fsid") == self._fsid

    def _make_keys(self):
        self.keyring.touch(mode=0o600)
        if not self._cephx:
            return
        everything = ("allow *", "allow *", "allow *")
        for name, (monitor, osd, manager) in {
                "mon.": ("allow *", "", ""), "client.admin": everything,
                "osd.0": ("allow profile osd", "allow *", "allow profile osd")}.items():
            capabilities = [("mon", monitor), ("osd", osd), ("mgr", manager)]
            self.run("ceph-authtool", self.keyring, "--gen-key", "-n", name,
                     *[word for kind, may in capabilities if may for word in ("--cap", kind, may)])

    def _until(self, what, asked, seconds=PATIENCE_SECONDS):
        """The daemons say nothing of themselves: they are asked."""
        deadline = Deadline(seconds)
        while True:
            for daemon in (self.monitor, self.osd):
                if daemon is not None and daemon.returncode is not None:
                    raise AssertionError(f"{daemon.argv} has ended with {daemon.returncode}")
            try:
                if asked() is not False:
                    return
            except (AssertionError, subprocess.TimeoutExpired):
                pass
            if deadline.passed():
                raise AssertionError(f"not within {seconds} s: {what}")
            time.sleep(0.1)

    def _osd_is_up(self):
        return " 1 up" in self.ceph("osd", "stat")

    def _child(self, *words):
        return Child(words, self._log, env={"CEPH_CONF": str(self.conf)})

    def start_monitor(self):
        self.monitor = self._child("ceph-mon", "-f", "-i", "a")

    def restart_monitor(self):
        """Killed, and back on what it had."""
        self.monitor.kill()
        self.start_monitor()
        self._until("the monitor answers", self._is_our_monitor)

    def start_osd(self):
        self.osd = self._child("ceph-osd", "-f", "-i", "0")

    def restart_osd(self):
        """Back on the disk that it had, and answering: to a client that has not met it before."""
        self.start_osd()
        self._until("the pool answers",
                    lambda: self.run("rados", "-p", POOL, "stat", "rbd_info", seconds=30))

    def kill_osd(self):
        self.osd.kill()

    def freeze_osd(self):
        self.osd.send(signal.SIGSTOP)

    def thaw_osd(self):
        """Harmless when it is not frozen, or gone."""
        self.osd.send(signal.SIGCONT)

    def kill_monitor(self):
        self.monitor.kill()

    def end(self):
        for daemon in (self.osd, self.monitor):
            if daemon is not None:
                daemon.kill()

    kill = end  # As of any other child.


def _obey(cluster, line):
    words = shlex.split(line)
    ours = {"kill": cluster.kill_osd, "restart": cluster.restart_osd,
            "freeze": cluster.freeze_osd, "thaw": cluster.thaw_osd,
            "kill-monitor": cluster.kill_monitor, "restart-monitor": cluster.restart_monitor}
    if words[0] in ours:
        ours[words[0]]()
        return
    print(cluster.run(*words), flush=True)


def main():
    with Workspace() as workspace:
        cluster = CephCluster(workspace, freezes=sys.argv[1:] == ["--freezes"])
        print(f"up {cluster.conf}", flush=True)
        try:
            for number, line in enumerate(sys.stdin, 1):
                try:
                    _obey(cluster, line)
                except (AssertionError, subprocess.TimeoutExpired) as failure:  # It is one test's.
                    print(f"\nfailed: {failure}", flush=True)
                print(f"done {number}.", flush=True)
        finally:
            cluster.end()


if __name__ == "__main__":
    main()
