"""The HTTP server of the dashboard: files of the page, and answers as JSON; it only reads."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

from campaign.dashboard.answers import Answers
from campaign.errors import CampaignError, SetupError

_REPORT = "campaign.analysis.page"
ASSETS = {
    "/": ("campaign.dashboard", "index.html", "text/html"),
    "/app.css": ("campaign.dashboard", "app.css", "text/css"),
    "/app.js": ("campaign.dashboard", "app.js", "text/javascript"),
    "/panels.js": ("campaign.dashboard", "panels.js", "text/javascript"),
    "/page.css": (_REPORT, "page.css", "text/css"),
    "/base.js": (_REPORT, "base.js", "text/javascript"),
    "/plot.js": (_REPORT, "plot.js", "text/javascript"),
    "/curves.js": (_REPORT, "curves.js", "text/javascript"),
}
"""Path -> package, file and kind; charts are drawn by the scripts of the report."""
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; script-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'none'; "
    "base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
NAMES = ("localhost", "127.0.0.1", "[::1]")


class DashboardServer(ThreadingHTTPServer):
    """Serves until `shutdown`; requests are answered from what the watch has at hand.

    Args:
        host: Address to answer on; one that is not of this machine alone lets everybody who
            reaches it read all results.
        port: Port; 0 takes a free one.
        answers: What it says.

    Raises:
        SetupError: If the port is taken or the address is not this machine's.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, answers: Answers) -> None:
        self.routes = answers.routes()
        self.local = is_loopback(host)
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            why = error.strerror or error
            raise SetupError(f"{host}:{port}: {why}; use --port N or --host ADDRESS") from None

    @property
    def url(self) -> str:
        """Where it answers."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"


class _Handler(BaseHTTPRequestHandler):
    server: DashboardServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a file of the page, or a question."""
        if not self._is_for_us():
            self._send(HTTPStatus.FORBIDDEN, b'{"error": "not a name of this server"}')
            return
        asked = urlsplit(self.path)
        if asked.path in ASSETS:
            package, name, kind = ASSETS[asked.path]
            content = (files(package) / "assets" / name).read_bytes()
            self._send(HTTPStatus.OK, content, f"{kind}; charset=utf-8")
        elif asked.path in self.server.routes:
            self._answer(asked.path, parse_qs(asked.query))
        else:
            self._send(HTTPStatus.NOT_FOUND, b'{"error": "no such page"}')

    def log_message(self, format: str, *args: Any) -> None:  # noqa: ANN401
        """Say nothing: a page asks every two seconds."""

    def _answer(self, path: str, query: dict[str, list[str]]) -> None:
        status = HTTPStatus.OK
        try:
            answer = self.server.routes[path](query)
        except CampaignError as error:
            status, answer = HTTPStatus.BAD_REQUEST, {"error": str(error)}
        except OSError as error:
            status, answer = HTTPStatus.INTERNAL_SERVER_ERROR, {"error": str(error)}
        self._send(status, json.dumps(finite(answer), allow_nan=False).encode())

    def _send(self, status: HTTPStatus, body: bytes, kind: str = "application/json") -> None:
        tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        known = status == HTTPStatus.OK and self.headers.get("If-None-Match") == tag
        self.send_response(HTTPStatus.NOT_MODIFIED if known else status)
        for name, value in {**HEADERS, "ETag": tag, "Content-Type": kind}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0" if known else str(len(body)))
        self.end_headers()
        if not known:
            self.wfile.write(body)

    def _is_for_us(self) -> bool:
        """Whether the request names this machine: a page of elsewhere may have our address."""
        name = (self.headers.get("Host") or "").rsplit(":", 1)[0] or "localhost"
        return not self.server.local or name in NAMES


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def finite(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same with null for what JSON has no number for.

    Example:
        >>> finite({"a": [1.0, float("nan")]})
        {'a': [1.0, None]}
    """
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
