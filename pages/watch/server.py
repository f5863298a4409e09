"""The page and its connection, for this user on this machine only.

It listens on 127.0.0.1. Its address has a random token as the first part of the path, so a page from elsewhere, or
another user of the machine, does not know it. A request is refused (403) without the token, with another `Origin`, or
with another name in `Host`: a foreign name that was made to point to 127.0.0.1 (DNS rebinding). Nothing that the page
loads comes from another place, and its policy (CSP) forbids the browser to ask there.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from pages.watch.controls import Controls
from runtime.errors import UsageError

FOLDER = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
}
HOSTS = ("127.0.0.1", "localhost")
MAX_MESSAGE = 64 * 1024  # bytes; a drawing has 784 numbers
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Server:
    """Serves the page in a thread of its own, from the moment it is made until `close`.

    Args:
        controls: gets what the pages ask for.
        port: 0 for any that is free.

    Raises:
        UsageError: if the port is taken.
    """

    def __init__(self, controls: Controls, port: int = 0) -> None:
        self.controls = controls
        self.token = secrets.token_urlsafe(24)
        self.connections: set[Connection] = set()
        self.hello = ""  # what a page needs to know before its first frame
        self.frame = ""  # the newest
        self.pictures: Path | None = None  # a folder of PNG files that pages may show
        try:
            self._sockets = bind_sockets(port, "127.0.0.1")
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"--port {port} cannot be used ({error}); leave it out, and a free one is taken"
            ) from None
        self.port = self._sockets[0].getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="watch", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """What to open."""
        return f"http://127.0.0.1:{self.port}/{self.token}/"

    def publish(self, message: dict[str, Any]) -> None:
        """Send a message to every page. A page that is still busy with a frame gets only the newest one after it."""
        text = json.dumps(message, separators=(",", ":"), allow_nan=False)
        self._loop.call_soon_threadsafe(self._publish, message["type"], text)

    def close(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    # --- the server's thread ---

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        routes: list[Any] = [
            (r"/([^/]*)/live", Connection, {"server": self}),
            (r"/([^/]*)/pictures/([\w.-]+)", Picture, {"server": self}),
            (r"/([^/]*)/([\w.]*)", File, {"server": self}),
            (r"/(.*)", File, {"server": self}),
        ]
        application = Application(
            routes, websocket_max_message_size=MAX_MESSAGE, log_function=lambda handler: None
        )
        http = HTTPServer(application, max_body_size=MAX_MESSAGE)
        http.add_sockets(self._sockets)
        self._loop.run_forever()
        http.stop()
        for connection in list(self.connections):
            connection.close()

    def _publish(self, kind: str, text: str) -> None:
        if kind == "hello":
            self.hello, self.frame = text, ""
        else:
            self.frame = text
        for connection in self.connections:
            connection.send_hello() if kind == "hello" else connection.send_newest()


def check(handler: RequestHandler, token: str, expected: str) -> None:
    """Refuse whoever was not given the address.

    Raises:
        HTTPError: 403.
    """
    host = handler.request.headers.get("Host", "")
    origin = handler.request.headers.get("Origin")
    is_socket = isinstance(handler, WebSocketHandler)
    if urlsplit(f"//{host}").hostname not in HOSTS:
        raise HTTPError(403)
    if origin != f"http://{host}" and (
        is_socket or origin is not None
    ):  # a browser always sends it with a socket
        raise HTTPError(403)
    if not hmac.compare_digest(token.encode(), expected.encode()):
        raise HTTPError(403)


class File(RequestHandler):
    """One of the page's own files."""

    def initialize(self, server: Server) -> None:
        self.server = server

    def set_default_headers(self) -> None:
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def get(self, token: str, name: str = "") -> None:
        check(self, token, self.server.token)
        self.send_file(FOLDER, name or "index.html")

    def send_file(self, folder: Path, name: str) -> None:
        """Send a file of a folder; only what lies right in it."""
        if (
            folder.is_dir()
            and name in {each.name for each in folder.iterdir()}
            and (kind := TYPES.get(Path(name).suffix))
        ):
            self.set_header("Content-Type", kind)
            self.write((folder / name).read_bytes())
        else:
            raise HTTPError(404)

    def write_error(self, status_code: int, **details: Any) -> None:
        self.set_header("Content-Type", "text/plain")
        self.finish(
            "403: open the address that the command printed, with its token" if status_code == 403 else "404"
        )


class Picture(File):
    """A picture of the run that is followed."""

    def get(self, token: str, name: str = "") -> None:
        check(self, token, self.server.token)
        self.send_file(self.server.pictures or FOLDER, name)


class Connection(WebSocketHandler):
    """The connection of one open page. It gets a frame when it has drawn the last one."""

    def initialize(self, server: Server) -> None:
        self.server, self.is_ready, self.sent = server, True, ""

    def prepare(self) -> None:
        check(self, self.path_args[0], self.server.token)

    def check_origin(self, origin: str) -> bool:
        return True  # `check` has refused any other

    def open(self, *args: str) -> None:
        self.server.connections.add(self)
        self.send_hello()
        self.server.controls.opened()

    def send_hello(self) -> None:
        self.sent, self.is_ready = "", True
        if self.server.hello:
            self._send(self.server.hello)
            self.send_newest()

    def send_newest(self) -> None:
        """Send the newest frame, if the page is ready and does not have it."""
        if self.is_ready and self.server.frame and self.server.frame is not self.sent:
            self.is_ready, self.sent = False, self.server.frame
            self._send(self.sent)

    def _send(self, text: str) -> None:
        try:
            self.write_message(text)
        except WebSocketClosedError:
            self.is_ready = False  # `on_close` follows

    def on_message(self, message: str | bytes) -> None:
        try:
            content = json.loads(message)
        except ValueError:
            return
        if isinstance(content, dict) and content.get("do") == "drawn":
            self.is_ready = True
            self.send_newest()
        else:
            self.server.controls.receive(content)

    def on_close(self) -> None:
        if self in self.server.connections:
            self.server.connections.remove(self)
            self.server.controls.closed()
