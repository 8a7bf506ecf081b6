"""XAES-256-GCM, as c2sp.org/XAES-256-GCM describes it, from AES and AES-256-GCM."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .refused import Refused

KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 24, 16
_BLOCK_BITS = 128


class SealingKey:
    """One 32-byte key, for any number of messages whose nonces are random."""

    def __init__(self, key):
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
        self._key = bytes(key)
        doubled = int.from_bytes(self._encrypt_block(bytes(16)), "big") << 1
        if doubled >> _BLOCK_BITS:
            doubled ^= (1 << _BLOCK_BITS) | 0x87
        self._subkey = doubled

    def _encrypt_block(self, block):
        encryptor = Cipher(algorithms.AES(self._key), modes.ECB()).encryptor()
        return encryptor.update(block) + encryptor.finalize()

    def _message_cipher(self, nonce):
        """CMAC of a counter and half of the nonce, twice, is the key for this message."""
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
        key = b""
        for counter in (1, 2):
            message = counter.to_bytes(2, "big") + b"X\0" + nonce[:12]
            masked = int.from_bytes(message, "big") ^ self._subkey
            key += self._encrypt_block(masked.to_bytes(16, "big"))
        return AESGCM(key)

    def seal(self, nonce, associated, plain):
        """Returns the sealed bytes, as many as there were, and the tag."""
        sealed = self._message_cipher(nonce).encrypt(nonce[12:], bytes(plain), bytes(associated))
        return sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]

    def open(self, nonce, associated, sealed, tag):
        """Returns what was sealed, or refuses it as corrupt."""
        try:
            return self._message_cipher(nonce).decrypt(nonce[12:], bytes(sealed) + bytes(tag),
                                                       bytes(associated))
        except InvalidTag:
            raise Refused("corrupt", "sealed bytes are not what the key has sealed") from None
