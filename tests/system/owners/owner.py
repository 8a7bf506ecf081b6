"""What has an image open for writing: each says of every change whether it was acknowledged."""

import subprocess

import nbd

from harness.blob_server import BlobServer
from harness.tpm_process import TpmProcess, program
from tpm.support import EMPTY_PASSWORD, COUNTER, TpmClient

from .place import Refused


class Nbdkit:
    """nbdkit with our plugin: each change is a byte, written with FUA."""

    def __init__(self, workspace, place, number):
        try:
            self._server = BlobServer(workspace, place.where)
        except AssertionError as error:
            raise Refused(str(error)) from error
        self.child = self._server.child
        self._client = nbd.NBD()
        self._client.connect_uri(self._server.uri("eeprom"))
        self._written = 0
        self.acknowledged = b""

    def begin(self):
        """A change is asked for, and not waited for."""
        byte = bytes([0x41 + self._written])
        buffer = nbd.Buffer.from_bytearray(bytearray(byte))
        cookie = self._client.aio_pwrite(buffer, self._written, flags=nbd.CMD_FLAG_FUA)
        return byte, cookie, buffer

    def end(self, begun):
        """Whether it was acknowledged."""
        byte, cookie, _ = begun
        try:
            while not self._client.aio_command_completed(cookie):
                if self._client.poll(60000) == 0:
                    raise TimeoutError("nbdkit does not answer")
        except nbd.Error:
            return False
        # What was refused may be there, and is written again.
        self.acknowledged += byte
        self._written += 1
        return True

    def change(self):
        return self.end(self.begin())

    def terminate(self):
        """nbdkit waits for its clients to go."""
        try:
            self._client.shutdown()
        except nbd.Error:
            pass
        return self.child.terminate()

    def kill(self):
        self.child.kill()

    def must_be_there(self, case, image):
        found = case.vnvram("get", image, "eeprom")
        case.assertEqual(found[:len(self.acknowledged)], self.acknowledged)


class Tpm:
    """vnvram-tpm: each change is an increment of an NV counter."""

    def __init__(self, workspace, place, number):
        server = workspace.file(f"server{number}")
        self._workspace = workspace
        try:
            self._tpm = TpmProcess(workspace, place.where, server)
        except AssertionError as error:
            raise Refused(str(error)) from error
        self.child = self._tpm.child
        self._index = COUNTER + number
        self._client = TpmClient(server)
        self.acknowledged = 0
        code = self._client.run(0x144, b"\0\0")[0]
        if code not in (0, 0x100):
            raise AssertionError(f"TPM2_Startup: {code:#x}")
        self._client.define_counter(self._index)

    def begin(self):
        self._client.send_increment(self._index)

    def end(self, _):
        code, _ = self._client.response()
        if code == 0x922:  # Only tested so far.
            code = self._client.increment(self._index)
        self.acknowledged += code == 0
        return code == 0

    def change(self):
        return self.end(self.begin())

    def terminate(self):
        return self.child.terminate()

    def kill(self):
        self.child.kill()
        self._client.close()

    def must_be_there(self, case, image):
        if self.acknowledged == 0:
            return
        server = self._workspace.file("judge")
        judge = TpmProcess(self._workspace, image, server)
        client = TpmClient(server)
        try:
            case.assertGreaterEqual(client.counter(self._index), self.acknowledged)
        finally:
            client.close()
            judge.kill()


class Put:
    """`vnvram put`: an owner for a moment."""

    def __init__(self, _workspace, place, _number):
        self._place = place
        self.acknowledged = b""

    def change(self):
        content = self.acknowledged + b"p"
        done = subprocess.run([program("vnvram"), "put", self._place.where, "put", "-"],
                              input=content, capture_output=True, timeout=60, check=False)
        if done.returncode == 0:
            self.acknowledged = content
        return done.returncode == 0

    def kill(self):
        pass

    def must_be_there(self, case, image):
        found = case.vnvram("get", image, "put")
        case.assertEqual(found[:len(self.acknowledged)], self.acknowledged)
