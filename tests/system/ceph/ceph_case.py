"""A cluster for all tests of a class, and images in it."""

import itertools

from harness.ceph_cluster import CephCluster
from harness.workspace import Workspace


class OnCeph:
    """Before a test case in a class's bases."""

    osd_freezes = False  # See CephCluster.

    _numbers = itertools.count()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        workspace = Workspace()
        cls.addClassCleanup(workspace.close)
        cls.cluster = CephCluster(workspace, cephx=True, freezes=cls.osd_freezes)
        cls.addClassCleanup(cls.cluster.end)

    def new_name(self):
        return f"image{next(self._numbers)}"

    def location(self, name, *options):
        """Of one in the pool that is there; `options` as OPTION=VALUE."""
        return ":".join([f"rbd:rbd/{name}", f"conf={self.cluster.conf}", *options])

    def owner_of(self, name):
        """The address of who has its exclusive lock; None: nobody."""
        words = self.cluster.rbd("lock", "ls", name).split()
        return next((word for word in words if word.startswith("127.0.0.1:")), None)

    def freeze_osd(self):
        """Until the test's end, at the latest."""
        self.addCleanup(self.cluster.thaw_osd)
        self.cluster.freeze_osd()

    def kill_monitor(self):
        self.addCleanup(self.cluster.restart_monitor)
        self.cluster.kill_monitor()

    def shut_out(self, name):
        """Fences who has its lock, as a take-over does."""
        self.cluster.ceph("osd", "blocklist", "add", self.owner_of(name))
