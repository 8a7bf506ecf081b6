"""nbdkit as systemd starts it: with the first client, ended with the last one."""

import os
import select
import signal
import socket
import subprocess

import nbd

from harness.blob_server import plugin

from .nbdkit_case import NbdkitCase

# What systemd does: the socket is descriptor 3, and the process is told so.
ACTIVATE = 'exec 3<&"$1"; shift; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'


def command(image):
    """What nbdkit-vnvram-plugin(1) has for ExecStart=."""
    return ["nbdkit", "--foreground", "--filter=exitlast", str(plugin()), str(image)]


class SocketActivation(NbdkitCase):
    def setUp(self):
        super().setUp()
        self.socket_path = self.path("nbd.sock")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(self.listener.close)
        self.listener.bind(str(self.socket_path))
        self.listener.listen(8)
        self.log = self.workspace.log("nbdkit")

    def activate(self, image):
        """Once a client is there, as systemd does."""
        self.assertTrue(select.select([self.listener], [], [], 60)[0], "no client came")
        number = self.listener.fileno()
        with open(self.log, "ab") as output:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", "bash", "-c", ACTIVATE, "bash", str(number),
                 *command(image)], pass_fds=[number], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def knock(self):
        """A client that connects before anyone serves, and waits."""
        waiting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(waiting.close)
        waiting.connect(str(self.socket_path))
        return waiting

    def test_it_comes_with_the_first_client_and_goes_with_the_last(self):
        content = b""
        for number in range(2):
            waiting = self.knock()
            process = self.activate(self.image)
            client = nbd.NBD()
            client.set_export_name("eeprom")
            client.connect_socket(os.dup(waiting.fileno()))
            waiting.close()
            self.assertEqual(client.pread(len(content), 0) if content else b"", content)
            content += f"start {number}, ".encode()
            client.pwrite(content, 0)
            client.shutdown()
            self.assertEqual(process.wait(60), 0)
            self.assertEqual(self.stored("eeprom")[:len(content)], content)
            self.must_be_clean()

    def test_what_is_wrong_with_the_image_is_in_the_log(self):
        waiting = self.knock()
        process = self.activate(self.path("absent.img"))
        self.assertEqual(process.wait(60), 1)
        self.assertIn("absent.img", self.log.read_text("utf-8"))
        waiting.close()
