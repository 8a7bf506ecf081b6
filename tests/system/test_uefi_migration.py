"""A machine that writes a UEFI variable without a pause goes on elsewhere, on a fresh image."""

import unittest

from harness.qemu import complaints_of, drops_in, values_of
from harness.recipe import recipe
from harness.uefi_case import UefiCase


class Moves(UefiCase):
    """The application's report goes on in the destination's record where it stopped in the
    source's, to the byte: both together show whether a value was lost."""

    def test_moves(self):
        server = self.serve()
        source = self.boot_application(server, "write kept 4711", "count n")
        source.wait_value(5)
        image = self.new_image()
        destination_server = self.serve(image)
        destination = self.start_application(destination_server, incoming="defer")
        record = self.move(source, destination)
        server.stop()
        last = values_of(record)[-1]
        destination.wait_value(last + 5)
        record += destination.kill()
        # What it was told is done is durable when its connection has ended.
        destination_server.stop()
        self.assertEqual(complaints_of(record), [])
        self.assertEqual(drops_in(values_of(record)), [])
        self.check()
        self.check(image)
        self.compare_after_power_cut(image, values_of(record)[-1])

    def compare_after_power_cut(self, image, last):
        server = self.serve(image)
        qemu = self.boot_application(server, "read kept", "read n")
        found = qemu.record.expect(rb"kept=4711\nn=(\d+)\n").group(1)
        self.assertIn(int(found), (last, last + 1))
        qemu.quit()
        server.stop()
        self.check(image)


class LiveMigration(Moves):
    def move(self, source, destination):
        """Returns the source's whole record."""
        print(recipe("migrate.py", source.operator, destination.operator,
                     f"unix:{self.workspace.file('migration')}"), flush=True)
        return source.quit()


class SavedToFile(Moves):
    def move(self, source, destination):
        file = self.workspace.file("machine")
        source.suspend_to(file)
        record = source.quit()
        destination.resume_from(file)
        return record


del Moves  # Not a test of its own.

if __name__ == "__main__":
    unittest.main()
