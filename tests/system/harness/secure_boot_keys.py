"""The keys of somebody who runs machines with Secure Boot: made by openssl, used by sbsigntool."""

import pathlib
import subprocess

from .authenticated_variable import authenticated

OWNER = "4d565241-6d21-4c55-9a01-764e5652414d"


def _run(*argv):
    done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{argv}: {done.stdout}{done.stderr}")


class Key:
    """A private key and its certificate."""

    def __init__(self, folder, name):
        self._folder = folder
        self._private = folder / f"{name}.key"
        self._certificate = folder / f"{name}.pem"
        _run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", "3650",
             "-subj", f"/CN=vNVRAM test {name}/", "-keyout", self._private,
             "-out", self._certificate)

    def sign(self, program):
        """A copy of the program with a signature, beside the key."""
        signed = self._folder / f"signed-{program.name}"
        _run("sbsign", "--key", self._private, "--cert", self._certificate, "--output", signed,
             program)
        return signed

    def update_of(self, variable, content):
        """What sets PK, KEK or db to the certificate of the key `content`, signed by this one."""
        stem = self._folder / f"{variable}-{self._private.stem}-{content._private.stem}"
        _run("openssl", "x509", "-in", content._certificate,
             "-outform", "DER", "-out", f"{stem}.der")
        _run("sbsiglist", "--owner", OWNER, "--type", "x509", "--output", f"{stem}.list",
             f"{stem}.der")
        signature_list = pathlib.Path(f"{stem}.list").read_bytes()
        update = pathlib.Path(f"{stem}.update")
        update.write_bytes(authenticated(variable, signature_list, self._signature_of))
        return update

    def _signature_of(self, content):
        source, target = self._private.with_suffix(".content"), self._private.with_suffix(".p7")
        source.write_bytes(content)
        _run("openssl", "smime", "-sign", "-binary", "-noattr", "-md", "sha256", "-outform", "DER",
             "-signer", self._certificate, "-inkey", self._private, "-in", source, "-out", target)
        return target.read_bytes()
