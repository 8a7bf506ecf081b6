"""A TPM of ours in the place of the host's: it has no device node, so tools are told where it is."""

from harness.tpm_process import TpmProcess
from harness.vnvram import create
from .support import tpm2


class HostTpm:
    """On, with nothing measured yet, from when it is made until kill()."""

    def __init__(self, workspace):
        self._workspace = workspace
        self._socket = workspace.file("host-tpm")
        self._image = self.new_image("host-tpm.nvram")
        self.tcti = f"swtpm:path={self._socket}"
        self._start(self._image)

    def new_image(self, name):
        return create(self._workspace.file(name), "--tpm2")

    def _start(self, image):
        self._process = TpmProcess(self._workspace, image, self._socket)

    def restart(self, image=None):
        """The host boots anew; with an image of another TPM it is another host."""
        self.stop()
        self._start(image or self._image)

    def extend_pcr(self):
        """The 7th: as if the firmware had measured other keys."""
        tpm2(self.tcti, self._workspace.path, "pcrextend", f"7:sha256={'5a' * 32}")

    def stop(self):
        self._process.stop()

    def kill(self):
        self._process.kill()
