#!/usr/bin/python3
"""Live migration (b): the NVRAM's image migrates as the machine's disks do. A mirror copies it over
NBD into the destination's image while the TPM goes on committing; with the guest stopped the mirror
ends, the destination's TPM opens its image, and the machine is switched over.

Before this: on the destination an empty image of the same size, vnvram-tpm with --admin, --detached
and --incoming, and QEMU with `-incoming defer`. The image belongs to a qemu-storage-daemon on each
side (--source-daemon says so; the destination's runs already, on --nbd), or to the two QEMUs, each
with the drive as its node `nvram`.

If anything fails before the switch the guest goes on at the source.
"""

import json

import nvram_export
from migrate import Migration, migration_parser
from move_image import start_mirror
from qmp import Qmp
from tpm_admin import tpm

MIRROR = "nvram-mirror"


class ImageMirror:
    """From what the source's owner exports to an export of the destination's."""

    def __init__(self, owner, nbd):
        self._owner = owner
        self._nbd = nbd
        self._connected = False

    def start(self):
        """Returns when the destination has everything, and follows every write."""
        self._owner.execute("blockdev-add", driver="nbd", node_name=MIRROR,
                            export=nvram_export.EXPORT,
                            server={"type": "unix", "path": str(self._nbd)})
        self._connected = True
        start_mirror(self._owner, nvram_export.top_node(self._owner), MIRROR, MIRROR)

    def end(self):
        """The destination's image is complete and of its own from now on."""
        self._owner.execute("block-job-cancel", device=MIRROR)  # Ready: nothing is cut off.
        self._owner.wait_job_end(MIRROR)
        self.disconnect()

    def cancel(self):
        """Wherever it is; its destination may be gone. The TPM is held: QEMU 7.2 can crash when such a
        mirror is cut off with a write under way."""
        if not self._connected:
            return
        if any(job["device"] == MIRROR for job in self._owner.execute("query-block-jobs")):
            self._owner.execute("block-job-cancel", device=MIRROR)
            while any(job["device"] == MIRROR
                      for job in self._owner.execute("query-block-jobs")):
                self._owner.wait_event("JOB_STATUS_CHANGE")  # The last one: it is no more.
        self.disconnect()

    def disconnect(self):
        self._owner.execute("blockdev-del", node_name=MIRROR)
        self._connected = False


class SourceDrive:
    """The TPM's way to its image at the source, which is closed for the switch."""

    def __init__(self, qemu, admin, owned_by_qemu):
        self._qemu = qemu
        self._admin = admin
        self._owned_by_qemu = owned_by_qemu
        self._node = None

    def hold(self):
        tpm("hold", self._admin)

    def close(self):
        """Every answer has reached the guest, and nothing is written to the drive from now on."""
        self.hold()
        if self._owned_by_qemu:  # With a writable export QEMU cannot hand over its drives.
            self._node = nvram_export.top_node(self._qemu)
            tpm("detach", self._admin)
            nvram_export.remove(self._qemu)

    def open_again(self):
        """The guest goes on here."""
        if self._node:
            if not nvram_export.is_there(self._qemu):
                nvram_export.add(self._qemu, self._node)
            if not json.loads(tpm("status", self._admin, "--json"))["attached"]:
                tpm("attach", self._admin)
            self._node = None
        tpm("resume", self._admin)


def migrate(migration, uri, mirror, drive, destination_admin, nbd):
    try:
        mirror.start()
        migration.start(uri)
        migration.wait_for_switchover()
        drive.close()
        mirror.end()
        tpm("attach", destination_admin, nvram_export.uri(nbd))
        stopped_ms = migration.switch_over()
    except BaseException:
        try:  # With the guest stopped, if it is: at a cancel it goes on, and the destination ends.
            drive.hold()
            mirror.cancel()
        finally:
            if migration.cancel():
                drive.open_again()
        raise
    # The drive is where it belongs: what has come with the machine is written to it now, and not
    # only when its guest uses the TPM again.
    tpm("resume", destination_admin)
    return stopped_ms


def main():
    parser = migration_parser(__doc__)
    parser.add_argument("--nbd", required=True, help="socket of the destination's export")
    parser.add_argument("--source-admin", required=True, help="of the source's vnvram-tpm")
    parser.add_argument("--destination-admin", required=True, help="of the destination's")
    parser.add_argument("--source-daemon", help="QMP socket of the source's storage daemon")
    options = parser.parse_args()
    with Qmp(options.source) as source, Qmp(options.destination) as destination:
        owner = Qmp(options.source_daemon) if options.source_daemon else source
        if not options.source_daemon:
            nvram_export.serve(destination, options.nbd)
            nvram_export.add(destination)
        stopped_ms = migrate(
            Migration(source, destination), options.uri, ImageMirror(owner, options.nbd),
            SourceDrive(source, options.source_admin, owned_by_qemu=owner is source),
            options.destination_admin, options.nbd)
    print(f"migrated with its image; the guest was stopped for {stopped_ms:.0f} ms")


if __name__ == "__main__":
    main()
