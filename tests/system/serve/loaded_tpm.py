"""A TPM whose volatile memory is full of things that only its process knows, and a client that uses
them as fast as it can."""

import hashlib
import hmac
import os
import struct
import threading

from harness.child import PATIENCE_SECONDS
from tpm.support import COUNTER, EMPTY_PASSWORD, OWNER

REGISTER = 16
SHA256, SHA256_BYTES = 0x000B, 32
NULL, NO_ALGORITHM = 0x40000007, 0x0010
HMAC_SESSION, POLICY_SESSION = 0, 1
CONTINUE = 1
# Fixed to this TPM, made by it, and signs with an empty password that nobody is locked out of.
KEYED_HASH, HMAC = 0x0008, 0x0005
KEY_ATTRIBUTES = 0x00040472


def sized(content):
    return struct.pack(">H", len(content)) + content


class Session:
    """An HMAC session without a secret: what proves that it is the one that it was are its nonces, of
    which the TPM makes a new one with each command."""

    def __init__(self, client, kind):
        self._client = client
        self._ours = os.urandom(SHA256_BYTES)
        data = client.must(0x176, struct.pack(">II", NULL, NULL) + sized(self._ours) + sized(b"")
                           + struct.pack(">BHH", kind, NO_ALGORITHM, SHA256))
        self.handle = struct.unpack(">I", data[:4])[0]
        self._theirs = data[6:]

    def run(self, code, names, handles, parameters):
        """A command with this session for its first handle, whose password is empty."""
        self._ours = os.urandom(SHA256_BYTES)
        what = hashlib.sha256(struct.pack(">I", code) + b"".join(names) + parameters).digest()
        attributes = bytes([CONTINUE])
        proof = hmac.new(b"", what + self._ours + self._theirs + attributes, hashlib.sha256).digest()
        area = struct.pack(">I", self.handle) + sized(self._ours) + attributes + sized(proof)
        body = b"".join(struct.pack(">I", handle) for handle in handles)
        data = self._client.must(code, body + struct.pack(">I", len(area)) + area + parameters, 0x8002)
        size = struct.unpack(">I", data[:4])[0]
        self._theirs = data[4 + size + 2:4 + size + 2 + SHA256_BYTES]

    def policy_digest(self):
        return self._client.must(0x189, struct.pack(">I", self.handle))


class LoadedTpm:
    """On the client of a TPM that is started up and has a counter."""

    def __init__(self, client):
        self.client = client
        data = client.must(0x169, struct.pack(">I", COUNTER))
        public = struct.unpack(">H", data[:2])[0]
        self._name = data[2 + public + 2:]
        self._session = Session(client, HMAC_SESSION)
        self._policy = Session(client, POLICY_SESSION)
        selection = struct.pack(">IHB", 1, SHA256, 3) + bytes([0, 0, 1])
        client.must(0x17F, struct.pack(">I", self._policy.handle) + sized(b"") + selection)
        self._digest = self._policy.policy_digest()
        self._key = self._make_key()
        self._mac = self._sign()
        self.count = client.counter()
        self.register = self.read_register()

    def _make_key(self):
        public = (struct.pack(">HHI", KEYED_HASH, SHA256, KEY_ATTRIBUTES) + sized(b"")
                  + struct.pack(">HH", HMAC, SHA256) + sized(b""))
        data = self.client.must(0x131, struct.pack(">I", OWNER) + EMPTY_PASSWORD
                                + sized(sized(b"") + sized(b"")) + sized(public) + sized(b"")
                                + struct.pack(">I", 0), 0x8002)
        return struct.unpack(">I", data[:4])[0]

    def _sign(self):
        data = self.client.must(0x155, struct.pack(">I", self._key) + EMPTY_PASSWORD
                                + sized(b"the same") + struct.pack(">H", SHA256), 0x8002)
        return data[6:6 + SHA256_BYTES]

    def read_register(self):
        data = self.client.must(0x17E, struct.pack(">IHB", 1, SHA256, 3) + bytes([0, 0, 1]))
        return data[-SHA256_BYTES:]

    def go_on(self):
        """One step of each, which the TPM has acknowledged when it returns."""
        step = hashlib.sha256(struct.pack(">Q", self.count)).digest()
        self.client.must(0x182, struct.pack(">I", REGISTER) + EMPTY_PASSWORD
                         + struct.pack(">IH", 1, SHA256) + step, 0x8002)
        self.register = hashlib.sha256(self.register + step).digest()
        self._session.run(0x134, [self._name, self._name], [COUNTER, COUNTER], b"")
        self.count += 1

    def check(self):
        """Everything is as it was left."""
        found = (self.client.counter(), self.read_register(), self._policy.policy_digest(),
                 self._sign())
        expected = (self.count, self.register, self._digest, self._mac)
        if found != expected:
            raise AssertionError(f"{found}\ninstead of {expected}")


class Load:
    """Goes on with a LoadedTpm, without a pause, until stop()."""

    def __init__(self, tpm):
        self.tpm = tpm
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._failure = None
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def _main(self):
        try:
            while not self._stop.is_set():
                with self._changed:
                    self.tpm.go_on()
                    self._changed.notify_all()
        except BaseException as failure:  # Told by must_go_on() and stop().
            with self._changed:
                self._failure = failure
                self._changed.notify_all()

    def must_go_on(self, rounds=3):
        with self._changed:
            target = self.tpm.count + rounds
            went_on = self._changed.wait_for(
                lambda: self._failure is not None or self.tpm.count >= target, PATIENCE_SECONDS)
        if self._failure is not None or not went_on:
            raise AssertionError(f"the TPM stands at {self.tpm.count}") from self._failure

    def stop(self):
        """Returns when nothing is under way, and all is as it has to be."""
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)
        if self._failure is not None or self._thread.is_alive():
            raise AssertionError("the TPM failed, or stands") from self._failure
        self.tpm.check()
