"""What a case does with the LUN of two hosts that are in one guest (san_machine.py)."""

import re
import sys

# One partition, of all but the first MiB, as the first sector's table has it.
_PARTITION = r"\000\000\000\000\203\000\000\000\000\010\000\000\000\160\000\000"


class OnSan:
    """Before unittest.TestCase among the bases of a case that has the `guest`."""

    def vnvram(self, words, status=0, message=""):
        answer = self.guest.run(f"vnvram {words} 2>&1")
        self.assertEqual(answer.status, status, f"{words}: {answer.output}")
        self.assertTrue(re.search(message, answer.output), answer.output)
        return answer.output

    def must_not_write(self, device):
        """Whatever command it is, the storage refuses it."""
        block = self.guest.run(f"dd if={device} of=/block bs=512 count=1 2>&1 && "
                               f"dd if=/block of={device} bs=512 count=1 conv=notrunc oflag=direct 2>&1")
        self.assertNotEqual(block.status, 0, block.output)

    @staticmethod
    def on_host(_, words):
        """Of two_hosts.Process, to which a host is the LUN's device there: it is all one guest."""
        return words

    def make_partition(self, device):
        """Its name. Only this host of the two is told."""
        self.guest.must(f"printf '{_PARTITION}' | dd of={device} bs=1 seek=446 conv=notrunc 2>/dev/null; "
                        fr"printf '\125\252' | dd of={device} bs=1 seek=510 conv=notrunc 2>/dev/null; "
                        f"blockdev --rereadpt {device}; until [ -b {device}1 ]; do sleep 0.1; done")
        return f"{device}1"


if __name__ == "__main__":
    sys.exit("a part of the tests")
