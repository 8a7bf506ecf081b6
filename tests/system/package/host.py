"""A Debian to install packages on: this one, below a layer in memory that takes all changes."""

import hashlib
import os
import socket
import subprocess
import threading
import unittest

from .packages import SECONDS_MAX

# Only for the one command. dpkg wants /proc, and so do the programs.
_IN_ROOT = """
root=$1; shift
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
exec chroot "$root" env -i HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \\
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
"""


class PackagedHost:
    def __init__(self, workspace):
        layers, self.root = workspace.file("layers"), workspace.file("root")
        layers.mkdir()
        self.root.mkdir()
        self._places = [self.root, layers]
        self._mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", layers)
        self.changes, work = layers / "changes", layers / "work"
        self.changes.mkdir()
        work.mkdir()
        try:
            self._mount("-t", "overlay", "-o", f"index=on,lowerdir=/,upperdir={self.changes},workdir={work}", "overlay",
                        self.root)
        except subprocess.CalledProcessError as failed:
            self.close()
            raise unittest.SkipTest("nothing can be laid over / here") from failed
        self.path("/var/lib/man-db/auto-update").unlink(missing_ok=True)  # Its index would take longer than the rest.

    @staticmethod
    def _mount(*words):
        subprocess.run(["mount", *map(str, words)], check=True, timeout=60)

    def close(self):
        for place in self._places:
            if os.path.ismount(place):
                subprocess.run(["umount", "--recursive", place], check=True, timeout=60)

    def path(self, inside):
        return self.root / inside.lstrip("/")

    def run(self, *words, status=0):
        in_root = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", _IN_ROOT, "sh", self.root]
        done = subprocess.run([*map(str, (*in_root, *words))], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=SECONDS_MAX, check=False)
        if done.returncode != status:
            raise AssertionError(f"{words}: status {done.returncode}, not {status}\n{done.stdout}")
        return done.stdout

    def install(self, *files, status=0):
        """By dpkg, as they are in folders of this host."""
        inside = []
        for file in files:
            copy = self.path(f"/tmp/{file.name}")
            copy.write_bytes(file.read_bytes())
            inside.append(f"/tmp/{file.name}")
        return self.run("dpkg", "--install", *inside, status=status)

    def state(self, name):
        """Of a package, in dpkg's words; "" of one that it does not know."""
        said = self.run("sh", "-c", 'dpkg-query --show --showformat="\\${Status}" "$1" 2>/dev/null || true', "sh", name)
        return said.strip()

    def digest(self, inside):
        return hashlib.sha256(self.path(inside).read_bytes()).hexdigest()

    def on_proxmox(self, place):
        """There is a machine whose TPM is there."""
        folder = self.path(f"/etc/pve/nodes/{socket.gethostname().split('.')[0]}/qemu-server")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "100.conf").write_text("memory: 2048\ntpmstate0: local-lvm:vm-100-disk-1,size=4M,version=v2.0\n")
        program = self.path("/usr/local/bin/pvesm")
        program.write_text(f'#!/bin/sh\n[ "$*" = "path local-lvm:vm-100-disk-1" ] && echo {place}\n')
        program.chmod(0o755)

    def never_without(self, inside, work):
        """Runs `work`, and returns how often there was no file by this name meanwhile."""
        place, done, missed = str(self.path(inside)), threading.Event(), [0]

        def look():
            while not done.is_set():
                if not os.path.lexists(place):
                    missed[0] += 1

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            work()
        finally:
            done.set()
            watcher.join()
        return missed[0]
