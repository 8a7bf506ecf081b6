"""A key service on this host, as the skeleton contrib/keys/vnvram-key-service asks it."""

import base64
import http.server
import os
import re
import threading

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class KeyService:
    """Wraps with keys that never leave it, for who has its token; or answers with `answer`."""

    token = "the token of this host"

    def __init__(self, *names):
        self.keys = {name: AESGCM(AESGCM.generate_key(256)) for name in names}
        self.asked = []
        self.answer = None
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, answer = service.answer or service.serve(self.path, self.headers, body)
                self.send_response(status)
                self.send_header("Location", service.url + "/elsewhere")  # Only of a redirection does it mean anything.
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def serve(self, path, headers, body):
        """Returns the status and the answer."""
        self.asked.append(path)
        if headers.get("Authorization") != f"Bearer {self.token}":
            return 403, b"who are you?"
        named = re.fullmatch(r"/keys/([\w.-]+)/(wrap|unwrap)", path)
        if not named or named[1] not in self.keys:
            return 404, b"no such key"
        name, key = named[1].encode(), self.keys[named[1]]
        if named[2] == "wrap":
            nonce = os.urandom(12)
            return 200, base64.b64encode(nonce + key.encrypt(nonce, body, name))
        try:
            wrapped = base64.b64decode(body)
            return 200, key.decrypt(wrapped[:12], wrapped[12:], name)
        except (ValueError, InvalidTag):
            return 400, b"not wrapped here"
