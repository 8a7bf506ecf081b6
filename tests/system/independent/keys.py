"""Keys from keys, and the key slots in which an image's data key is wrapped for its holders."""

import dataclasses
import os
import struct

import nacl.pwhash.argon2id
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .refused import Refused, must_be
from .xaes import KEY_BYTES, NONCE_BYTES, SealingKey

KEY, PASSPHRASE, PUBLIC_KEY, EXTERNAL = 1, 2, 3, 4
SLOTS_MAX = 16
KEY_ID_BYTES = 16
_PASSES_MAX, _MEMORY_MIN_KIB, _MEMORY_MAX_KIB = 64, 8, 4194304
_ENTRY = struct.Struct("<IBBHQ64s32sIIII")
_WRAP = struct.Struct("<16s32s24s32s16s16s")
_VOUCHED_BYTES = 120  # Of a wrap.
_PUBLIC_PART_BYTES_MAX = 4096


def derive(secret, salt, info, size_bytes):
    """HKDF-SHA-256."""
    return HKDF(hashes.SHA256(), size_bytes, salt, info).derive(secret)


def key_id_of(data_key, uuid):
    return derive(data_key, uuid, b"vnvram 1 key id", KEY_ID_BYTES)


def public_key_of(private):
    key = X25519PrivateKey.from_private_bytes(private).public_key()
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def private_key_pem(private):
    """As a file has it, for who reads keys from files."""
    return X25519PrivateKey.from_private_bytes(private).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def public_key_pem(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def agree(private, public):
    """X25519; ValueError if the result is zero, which is so whoever's the private key is."""
    key = X25519PrivateKey.from_private_bytes(private)
    return key.exchange(X25519PublicKey.from_public_bytes(public))


@dataclasses.dataclass
class Wrap:
    """One data key, for one holder."""

    key_id: bytes
    ephemeral: bytes
    nonce: bytes
    sealed: bytes
    tag: bytes
    voucher: bytes = bytes(16)

    def pack(self):
        return _WRAP.pack(*dataclasses.astuple(self))

    def voucher_by(self, data_key, uuid, associated):
        """What only somebody makes who has the data key."""
        key = SealingKey(derive(data_key, uuid, b"vnvram 1 slot voucher", KEY_BYTES))
        return key.seal(self.nonce, associated + self.pack()[:_VOUCHED_BYTES], b"")[1]


@dataclasses.dataclass
class Slot:
    """What can be read by anybody; `bound` is what a wrap's associated data has of it."""

    number: int
    kind: int
    created_seconds: int
    label: bytes
    salt: bytes
    passes: int = 0
    memory_kib: int = 0
    lanes: int = 0
    public_part: bytes = b""
    wraps: list = dataclasses.field(default_factory=list)

    def _fields(self, size_bytes):
        return _ENTRY.pack(size_bytes, self.number, self.kind, len(self.public_part),
                           self.created_seconds, self.label, self.salt, self.passes,
                           self.memory_kib, self.lanes, len(self.wraps))

    def pack(self):
        rest = b"".join(wrap.pack() for wrap in self.wraps) + self.public_part
        rest += bytes(-len(rest) % 8)
        return self._fields(_ENTRY.size + len(rest)) + rest

    def associated(self, uuid, key_id):
        return uuid + self._fields(0)[4:124] + self.public_part + key_id


def parse_slots(content, count):
    """Of an area's entries; they must use up the content."""
    must_be(count <= SLOTS_MAX, f"{count} key slots")
    slots, at = [], 0
    for _ in range(count):
        must_be(len(content) - at >= _ENTRY.size, "a key slot is cut off")
        (size, number, kind, public_bytes, created, label, salt, passes, memory, lanes,
         wrap_count) = _ENTRY.unpack_from(content, at)
        used = _ENTRY.size + wrap_count * _WRAP.size + public_bytes
        must_be(wrap_count in (1, 2), f"a key slot of {wrap_count} wraps")
        must_be(public_bytes <= _PUBLIC_PART_BYTES_MAX, "the public part is too long")
        must_be(size == used + -used % 8 and at + size <= len(content), "a key slot's size")
        wraps_at = at + _ENTRY.size
        wraps = [Wrap(*_WRAP.unpack_from(content, wraps_at + number * _WRAP.size))
                 for number in range(wrap_count)]
        public_at = wraps_at + wrap_count * _WRAP.size
        slot = Slot(number, kind, created, label, salt, passes, memory, lanes,
                    content[public_at:public_at + public_bytes], wraps)
        must_be(not any(content[public_at + public_bytes:at + size]), "bytes behind a public part")
        must_be(number < SLOTS_MAX and (not slots or slots[-1].number < number), "numbers of slots")
        _check_slot(slot)
        slots.append(slot)
        at += size
    must_be(at == len(content), "something is behind the key slots")
    return slots


def _check_slot(slot):
    must_be(slot.kind in (KEY, PASSPHRASE, PUBLIC_KEY, EXTERNAL), f"key slot of kind {slot.kind}")
    must_be(slot.kind == EXTERNAL or not slot.public_part, "a public part of a slot that has none")
    text = slot.label.rstrip(b"\0")
    must_be(len(text) < 64 and all(0x20 <= byte < 0x7f for byte in text), "a key slot's label")
    if slot.kind == PASSPHRASE:
        must_be(1 <= slot.passes <= _PASSES_MAX, f"{slot.passes} passes of Argon2id")
        must_be(_MEMORY_MIN_KIB <= slot.memory_kib <= _MEMORY_MAX_KIB, "memory of Argon2id")
        must_be(slot.lanes == 1, "lanes of Argon2id")
    else:
        must_be(not (slot.passes or slot.memory_kib or slot.lanes), "Argon2id without a passphrase")
    for wrap in slot.wraps:
        must_be(slot.kind == PUBLIC_KEY or not any(wrap.ephemeral), "an ephemeral key")


class KeyHolder:
    """Has the bytes of a key."""

    kind = KEY

    def __init__(self, secret):
        if not 16 <= len(secret) <= 8192:
            raise ValueError("a holder's key has 16 to 8,192 bytes")
        self._secret = secret

    def fill(self, slot, random):
        slot.salt = random(32)

    def new_ephemeral(self, slot, random):
        """Returns the wrap's public field, and what the wrap's key is made of."""
        del random
        return bytes(32), self.key_material(slot, bytes(32))

    def key_material(self, slot, ephemeral):
        """Secret, salt and info."""
        del ephemeral
        return self._secret, slot.salt, b"vnvram 1 key slot"


class ExternalHolder(KeyHolder):
    """Whose key comes from a command that is given the public part."""

    kind = EXTERNAL

    def __init__(self, command, public_part=b""):
        self._command = command
        self._public_part = public_part

    def fill(self, slot, random):
        super().fill(slot, random)
        slot.public_part = self._public_part

    def key_material(self, slot, ephemeral):
        return self._command(slot.public_part), slot.salt, b"vnvram 1 key slot"


class PassphraseHolder(KeyHolder):
    kind = PASSPHRASE

    def __init__(self, passphrase, passes=1, memory_kib=8):
        self._passphrase = passphrase
        self._passes, self._memory_kib = passes, memory_kib

    def fill(self, slot, random):
        super().fill(slot, random)
        slot.passes, slot.memory_kib, slot.lanes = self._passes, self._memory_kib, 1

    def key_material(self, slot, ephemeral):
        secret = nacl.pwhash.argon2id.kdf(32, self._passphrase, slot.salt[:16], slot.passes,
                                          slot.memory_kib * 1024)
        return secret, slot.salt, b"vnvram 1 key slot"


class PublicKeyHolder(KeyHolder):
    """Who makes the slot has the public key only."""

    kind = PUBLIC_KEY

    def __init__(self, public=None, private=None):
        self._public = public or public_key_of(private)
        self._private = private

    def fill(self, slot, random):
        slot.salt = self._public

    @staticmethod
    def _material(agreed, ephemeral, public):
        return agreed, ephemeral + public, b"vnvram 1 key slot public"

    def new_ephemeral(self, slot, random):
        private = random(32)
        ephemeral = public_key_of(private)
        return ephemeral, self._material(agree(private, self._public), ephemeral, self._public)

    def key_material(self, slot, ephemeral):
        try:
            agreed = agree(self._private, ephemeral)
        except ValueError:
            raise Refused("corrupt", "an ephemeral key that anybody could have made") from None
        return self._material(agreed, ephemeral, slot.salt)


def make_slot(holder, data_keys, uuid, number=0, label=b"", created_seconds=0, random=os.urandom):
    """A slot with a wrap of each of the data keys."""
    slot = Slot(number, holder.kind, created_seconds, label.ljust(64, b"\0"), bytes(32))
    holder.fill(slot, random)
    for data_key in data_keys:
        key_id = key_id_of(data_key, uuid)
        ephemeral, material = holder.new_ephemeral(slot, random)
        nonce = random(NONCE_BYTES)
        wrapping = SealingKey(derive(*material, KEY_BYTES))
        associated = slot.associated(uuid, key_id)
        wrap = Wrap(key_id, ephemeral, nonce, *wrapping.seal(nonce, associated, data_key))
        wrap.voucher = wrap.voucher_by(data_key, uuid, associated)
        slot.wraps.append(wrap)
    return slot


def unwrap(slots, holder, uuid, key_id):
    """The data key of this name, by the first slot that the holder can open."""
    for slot in slots:
        for wrap in slot.wraps:
            if slot.kind != holder.kind or wrap.key_id != key_id:
                continue
            try:
                wrapping = SealingKey(derive(*holder.key_material(slot, wrap.ephemeral), KEY_BYTES))
                associated = slot.associated(uuid, key_id)
                data_key = wrapping.open(wrap.nonce, associated, wrap.sealed, wrap.tag)
            except Refused:
                continue
            must_be(key_id_of(data_key, uuid) == key_id, "a key slot holds a key of another name")
            must_be(wrap.voucher == wrap.voucher_by(data_key, uuid, associated), "a key slot's voucher")
            return data_key
    raise Refused("wrong key", "no key slot is this holder's")
