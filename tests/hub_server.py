"""A small Hugging Face hub in this process: datasets that are made, committed to and read, in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class HubServer:
    """Where it listens, the files of its datasets, which of them are private, and the tokens that it was shown."""

    url: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    refuse_commits: bool = False


@contextmanager
def serve_hub() -> Iterator[HubServer]:
    """Serve until the block ends."""
    hub = HubServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # head and body in one packet, else each reply waits for an acknowledgement

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self._begin()
            if path == "/api/repos/create":
                asked = json.loads(body)
                name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
                if name in hub.files:
                    self._send(409, {"url": f"{hub.url}/datasets/{name}", "error": "exists"})
                    return
                hub.files[name], hub.private[name] = (
                    {},
                    asked["visibility"] == "private" if "visibility" in asked else asked["private"],
                )
                self._send(200, {"url": f"{hub.url}/datasets/{name}", "id": name})
            elif path == "/api/validate-yaml":
                self._send(200, {"errors": [], "warnings": []})
            elif match := re.fullmatch(r"/api/datasets/(.+)/preupload/main", path):
                modes = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]]
                self._send(200, {"files": modes})
            elif match := re.fullmatch(r"/api/datasets/(.+)/commit/main", path):
                if hub.refuse_commits:
                    self._send(403, {"error": "you may not write here"})
                    return
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        hub.files[match.group(1)][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                oid = "0" * 40
                self._send(
                    200, {"commitUrl": f"{hub.url}/datasets/{match.group(1)}/commit/{oid}", "commitOid": oid, "success": True}
                )
            else:
                self._send(404, {"error": path})

        def do_HEAD(self) -> None:
            self._file()

        def do_GET(self) -> None:
            self._file()

        def _file(self) -> None:
            match = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/[^/]+/(.+)", self._begin())
            content = hub.files.get(match.group(1), {}).get(unquote(match.group(2))) if match else None
            if content is None:
                self._send(404, {"error": "no such file"}, {"X-Error-Code": "EntryNotFound"})
                return
            self._send(200, content, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": "0" * 40})

        def _begin(self) -> str:
            hub.tokens.add(self.headers.get("Authorization", ""))
            hub.requests.append(f"{self.command} {self.path}")
            return urlsplit(self.path).path

        def _send(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {
                "Content-Length": str(len(body)),
                "Content-Type": "application/json",
                **(headers or {}),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
