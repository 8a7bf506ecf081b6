"""tpm2-tools on the socket for plain commands, without a machine, and deaths of vnvram-tpm."""

import random
import signal
import threading
import unittest

from support import TpmCase, tpm2, two_free_ports


class Tpm2Tools(TpmCase):

    def run_tools(self, *words):
        return tpm2(self.tcti, self.workspace.path, *words)

    def use_everything(self):
        self.assertEqual(len(self.run_tools("getrandom", 8)), 8)
        self.run_tools("nvdefine", "0x1500001", "-C", "o", "-s", 8, "-a",
                       "nt=counter|ownerwrite|ownerread")
        for _ in range(3):
            self.run_tools("nvincrement", "0x1500001", "-C", "o")
        self.run_tools("createprimary", "-Q", "-C", "o", "-G", "ecc", "-c", "primary")
        self.run_tools("evictcontrol", "-Q", "-C", "o", "-c", "primary", "0x81000001")

    def verify_everything(self):
        counter = self.run_tools("nvread", "0x1500001", "-C", "o", "-s", 8)
        self.assertEqual(int.from_bytes(counter, "big"), 3)
        self.assertIn(b"0x81000001", self.run_tools("getcap", "handles-persistent"))
        self.run_tools("readpublic", "-Q", "-c", "0x81000001")

    def test_unix_socket_and_both_ends(self):
        image = self.new_image()
        self.tcti = f"swtpm:path={self.server}"
        tpm = self.start_server(image)
        self.use_everything()
        tpm.stop()
        self.assertFalse(self.server.exists())
        self.assertFalse(self.workspace.file("server.ctrl").exists())
        tpm = self.start_server(image)
        self.verify_everything()
        tpm.kill()
        self.assertTrue(self.server.exists())  # What a killed process leaves is no obstacle.
        self.start_server(image)
        self.verify_everything()

    def test_tcp(self):
        port = two_free_ports()
        self.tcti = f"swtpm:host=127.0.0.1,port={port}"
        image = self.new_image()
        tpm = self.start(image, options=["--server", f"tcp:127.0.0.1:{port}", "--startup", "clear"])
        self.use_everything()
        tpm.stop()
        self.start(image, options=["--server", f"tcp:localhost:{port}", "--startup", "clear"])
        self.verify_everything()

    def test_nothing_acknowledged_is_lost(self):
        seed = random.randrange(1 << 32)
        print(f"seed {seed}", flush=True)
        moments = random.Random(seed)
        image = self.new_image()
        tpm = self.start_server(image)
        self.client().define_counter()
        self.assertEqual(self.client().increment(), 0)
        acknowledged = 1
        for _ in range(15):
            client = self.client()
            self.assertEqual(client.increment(), 0)
            acknowledged += 1
            killer = threading.Timer(moments.uniform(0.0, 0.08), tpm.child.send, [signal.SIGKILL])
            killer.start()
            acknowledged += self.increments_until_it_ends(client)
            killer.join()
            tpm.kill()
            tpm = self.start_server(image)
            value = self.client().counter()
            # The increment that was under way may have been made, and was not answered.
            self.assertIn(value, (acknowledged, acknowledged + 1), f"seed {seed}")
            acknowledged = value
        self.assertGreater(acknowledged, 15)

    @staticmethod
    def increments_until_it_ends(client):
        count = 0
        try:
            while client.increment() == 0:
                count += 1
        except OSError:
            pass
        return count

    def test_term_in_the_middle_of_increments(self):
        image = self.new_image()
        tpm = self.start_server(image)
        self.client().define_counter()
        self.assertEqual(self.client().increment(), 0)
        acknowledged = 1
        for _ in range(3):
            client = self.client()
            self.assertEqual(client.increment(), 0)
            acknowledged += 1
            stopper = threading.Timer(0.1, tpm.child.send, [signal.SIGTERM])
            stopper.start()
            acknowledged += self.increments_until_it_ends(client)
            stopper.join()
            self.assertEqual(tpm.child.wait(), 0)
            tpm = self.start_server(image)
            value = self.client().counter()
            self.assertIn(value, (acknowledged, acknowledged + 1))
            acknowledged = value
        self.assertGreater(acknowledged, 3)

    def test_several_clients_at_once(self):
        self.start_server(self.new_image())
        self.client().define_counter()
        failures = []

        def increment_many():
            client = self.client()
            for _ in range(100):
                if client.increment() != 0:
                    failures.append(client)

        threads = [threading.Thread(target=increment_many) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(self.client().counter(), 400)


if __name__ == "__main__":
    unittest.main()
