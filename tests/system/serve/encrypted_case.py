"""A machine whose image is encrypted, and a look at who has what in memory."""

import pathlib
import re

from independent import header_area, keys
from independent.layout import BLOCK_BYTES, Superblock
from nbdkit.nbdkit_case import BLOBS

from .machine_case import MachineCase

KEY = b"the key of this host, which nobody guesses"


class EncryptedCase(MachineCase):
    def setUp(self):
        super().setUp()
        self.key = self.path("host.key")
        self.key.write_bytes(KEY)
        self.with_key = ("--key", f"file:{self.key}")
        self.image.unlink()
        self.vnvram("create", self.image, "--tpm2", *BLOBS, "--encrypt", *self.with_key, "--label", "host")

    def must_be_clean(self, image=None):
        self.vnvram("check", image or self.image, *self.with_key)

    def stored(self, name, image=None):
        return self.vnvram("get", image or self.image, name, *self.with_key)

    def data_key(self):
        """Of the image as it is now, by its slots and the host's key."""
        content = self.image.read_bytes()
        superblock = self._superblock(content)
        slots = header_area.read_area(content, header_area.KEYS_MAGIC, superblock.uuid).entries
        return keys.unwrap(slots, keys.KeyHolder(KEY), superblock.uuid, superblock.key_id)

    def purpose_keys(self, data_key):
        """What an owner makes of it, but for the key id, which is public."""
        uuid = self._superblock(self.image.read_bytes()).uuid
        return {keys.derive(data_key, uuid, f"vnvram 1 {purpose}".encode("ascii"), 32)
                for purpose in ("record", "block", "superblock", "slot voucher")}

    @staticmethod
    def _superblock(content):
        pair = (Superblock.unpack(content[at:at + BLOCK_BYTES]) for at in (0, BLOCK_BYTES))
        return max(pair, key=lambda copy: copy.sequence)

    def secrets_in(self, pid, wanted):
        """Which of these are in the memory of that process."""
        found = set()
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in pathlib.Path(f"/proc/{pid}/maps").read_text("ascii").splitlines():
                begin, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
                if not rights.startswith("rw"):
                    continue
                try:
                    memory.seek(int(begin, 16))
                    content = memory.read(int(end, 16) - int(begin, 16))
                except (OSError, ValueError, OverflowError):
                    continue  # What the kernel shows to nobody.
                found |= {secret for secret in wanted if secret in content}
        return found
