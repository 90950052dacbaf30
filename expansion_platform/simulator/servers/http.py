"""A small HTTP/1.1 server on loopback: what the stand-ins of Stripe, PostHog and Slack have in common.

Here: accepting and answering requests, a log of them, and planned failures. Not here: what any of the
services answers.
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

_PARAMETER = re.compile(r"([^\[\]]+)(?:\[([^\[\]]*)\])?")


@dataclass(frozen=True)
class Request:
    """One request.

    `params` are the query's (`a=1`, `a[]=1`, `a[0]=1` and `a[gte]=1` become text, lists and a dict), header
    names are lower case.
    """

    method: str
    path: str
    params: dict[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def bearer(self) -> str | None:
        """The bearer token, None when there is none."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" and token.strip() else None


class Delivery(Enum):
    """How an answer arrives."""

    WHOLE = auto()
    NONE = auto()  # the connection is closed instead
    CUT = auto()  # half of the body, as if it were all
    RESET = auto()  # the connection is reset in the middle of the body
    DRIPPED = auto()  # whole, but slowly and in small pieces


DRIPS, DRIP_SECONDS = 20, 0.01


@dataclass(frozen=True)
class Response:
    """One answer: a JSON value, or text as it is."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = Delivery.WHOLE

    def encoded(self) -> tuple[bytes, str]:
        """The body's bytes and content type."""
        if isinstance(self.body, str):
            return self.body.encode(), "text/plain; charset=utf-8"
        return json.dumps(self.body, separators=(",", ":")).encode(), "application/json"


DROPPED = 0
"""The status of a planned failure that closes the connection without an answer."""


@dataclass
class _Failure:
    status: int
    headers: Mapping[str, str]
    times: int
    path_prefix: str
    after: bool


class LoopbackServer:
    """Base of the stand-ins, a context manager: `with SomeServer(...) as server: ... server.url`.

    `requests` logs every request in order of arrival, failed ones too. Each connection is a daemon thread;
    leaving the context closes them all.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._failures: list[_Failure] = []
        self._lock = threading.Lock()
        self._http: _Server | None = None

    def answer(self, request: Request) -> Response:
        """What the service answers."""
        raise NotImplementedError

    def failure(self, status: int, message: str) -> Response:
        """The body the service sends with an error status of its own making (429, 5xx)."""
        raise NotImplementedError

    def fail_next(
        self,
        status: int,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        path_prefix: str = "/",
        *,
        after: bool = False,
    ) -> None:
        """Let the next `times` requests under a path fail with a status.

        With `DROPPED` the connection is closed.

        With `after` the request is carried out first: the caller does not learn that it succeeded. Failures
        planned earlier are used first.
        """
        with self._lock:
            self._failures.append(_Failure(status, headers or {}, times, path_prefix, after))

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`."""
        if self._http is None:
            raise RuntimeError("the server is not running; use it as a context manager")
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._http = _Server(self)
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            self._http.shutdown()
            self._http.close_connections()
            self._http.server_close()
            self._http = None

    def _respond(self, request: Request) -> Response:
        """The answer or the planned failure."""
        with self._lock:
            self.requests.append(request)
            failure = next(
                (planned for planned in self._failures if request.path.startswith(planned.path_prefix)), None
            )
            if failure is not None:
                failure.times -= 1
                if failure.times <= 0:
                    self._failures.remove(failure)
        if failure is None:
            return self._answered(request)
        if failure.after:
            self._answered(request)
        if failure.status == DROPPED:
            return Response(None, delivery=Delivery.NONE)
        planned = self.failure(failure.status, "planned failure")
        return Response(planned.body, failure.status, {**planned.headers, **failure.headers})

    def _answered(self, request: Request) -> Response:
        try:
            return self.answer(request)
        # A fault of the stand-in must reach the test as text, not as a closed socket.
        except Exception as error:
            return self.failure(500, f"the stand-in failed: {type(error).__name__}: {error}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, service: LoopbackServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.service = service
        self._connections: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away in the middle of an answer is no news; anything else is."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def close_connections(self) -> None:
        """End keep-alive connections, whose threads would otherwise wait for a next request."""
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was quicker


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # headers and body leave in one write

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(
            method=self.command,
            path=parts.path,
            params=parse_query(parts.query),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length),
        )
        response = self.server.service._respond(request)
        if response.delivery is Delivery.NONE:
            self.close_connection = True
            return
        try:
            body, content_type = response.encoded()
        except (TypeError, ValueError) as error:
            response = self.server.service.failure(
                500, f"the stand-in answered with something that is not JSON: {error}"
            )
            body, content_type = response.encoded()
        sent = body[: len(body) // 2] if response.delivery in (Delivery.CUT, Delivery.RESET) else body
        announced = body if response.delivery is Delivery.RESET else sent
        self.send_response(response.status)
        for name, value in {
            "Content-Type": content_type,
            "Content-Length": str(len(announced)),
            **response.headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if response.delivery is Delivery.DRIPPED:
            self._drip(sent)
        else:
            self.wfile.write(sent)
        if response.delivery is Delivery.RESET:
            self.wfile.flush()
            self.close_connection = True
            # Closing it resets it.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # At once: the base class would end the stream in good order first.
            os.close(self.connection.detach())

    def _drip(self, body: bytes) -> None:
        size = len(body) // DRIPS + 1
        for start in range(0, len(body), size):
            self.wfile.write(body[start : start + size])
            self.wfile.flush()
            time.sleep(DRIP_SECONDS)

    do_GET = do_POST = do_DELETE = _handle  # noqa: N815 - the base class names them

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are kept in `LoopbackServer.requests` instead."""


def parse_query(query: str) -> dict[str, Any]:
    """Parameters of a query or form: `a=1` -> text, `a[]=1` and `a[0]=1` -> list, `a[gte]=1` -> dict."""
    params: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        match = _PARAMETER.fullmatch(name)
        base, key = (match[1], match[2]) if match else (name, None)
        if key is None:
            params[base] = value
        elif key == "" or key.isdigit():
            params.setdefault(base, []).append(value)
        else:
            params.setdefault(base, {})[key] = value
    return params
