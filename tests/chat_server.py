"""A small server of OpenAI's chat protocol in this process, whose replies a test decides."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Request = Mapping[str, Any]


@dataclass(frozen=True)
class Failure:
    """An answer other than 200: a status, and what the body says."""

    status: int
    message: str = "no"


@dataclass
class ChatServer:
    """Where it listens, and what it was asked: bodies and keys, in order."""

    url: str
    requests: list[Request] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


@contextmanager
def serve_chat(reply: Callable[[Request], str | Failure | bytes]) -> Iterator[ChatServer]:
    """Serve until the block ends. `reply` gives a message's text, a failure, or a whole body as bytes."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # head and body in one packet, else each reply waits for an acknowledgement

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                server.requests.append({"path": self.path, **body})
                server.keys.append(self.headers.get("Authorization", ""))
            said = reply(body)
            if isinstance(said, bytes):
                self._send(200, said, "text/html")
            elif isinstance(said, Failure):
                self._send(said.status, json.dumps({"error": {"message": said.message}}).encode(), "application/json")
            else:
                message = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
                completion = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [message]}
                self._send(200, json.dumps(completion).encode(), "application/json")

        def _send(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    lock = threading.Lock()
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = ChatServer(f"http://127.0.0.1:{http.server_address[1]}/v1")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
