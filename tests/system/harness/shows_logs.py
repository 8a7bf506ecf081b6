"""What the processes of a failed test have said."""

import unittest


class ShowsLogs:
    """Before unittest.TestCase among the bases of a case that has a `workspace`: what fails shows all logs."""

    # The places of unittest that see a failure before the cleanups remove the logs.

    def _callSetUp(self):
        self._show_logs_on_failure(super()._callSetUp)

    def _callTestMethod(self, method):
        self._show_logs_on_failure(super()._callTestMethod, method)

    def _show_logs_on_failure(self, call, *arguments):
        try:
            call(*arguments)
        except unittest.SkipTest:
            raise
        except BaseException:
            self.show_logs()
            raise

    def show_logs(self):
        if hasattr(self, "workspace"):  # It was made before anything failed.
            self.workspace.show_failure()
