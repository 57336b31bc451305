"""A registry on the loopback that serves one image, as far as a runtime needs one to pull it."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TAG = "1"


@dataclass
class Registry:
    """Where the image is, and who may pull it.

    Attributes:
        image: reference of the image.
        open: whether anything is served; a closed registry answers 404.
        password: of user "puller"; "" lets everybody pull.
    """

    image: str
    host: str
    open: bool = True
    password: str = ""


@contextlib.contextmanager
def registry(layout: bytes) -> Iterator[Registry]:
    """Serves an OCI layout tar as one tagged image."""
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(layout)) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:
                files[member.name] = content.read()
    [entry] = json.loads(files["index.json"])["manifests"]

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            expected = "Basic " + base64.b64encode(f"puller:{made.password}".encode()).decode()
            if made.password and self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="test"')
                self.end_headers()
                return
            digest = self.path.rpartition("/")[2]
            kind = "application/octet-stream"
            if "/manifests/" in self.path:
                digest = entry["digest"] if digest == TAG else digest
                kind = entry["mediaType"]
            content = files.get(f"blobs/sha256/{digest.removeprefix('sha256:')}")
            if self.path == "/v2/":
                content = b"{}"
            if not made.open or content is None:
                self.send_response(404)
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Docker-Content-Digest", digest)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host = f"127.0.0.1:{server.server_port}"
    made = Registry(image=f"{host}/test/image:{TAG}", host=host)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
