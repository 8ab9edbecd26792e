"""The outermost layer: keys first, then limits, then the application; every answer leaves through here.

A pure ASGI middleware, because what it guards against must be stopped before anything is parsed: a caller without a
key, a body that is too long (declared or not) or packed, a request that takes too long, an error that nobody foresaw.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import metrics
from serving.keys import Key, KeyRing
from serving.keys import Scope as KeyScope
from serving.logs import log_access
from serving.problems import MEDIA_TYPE, ProblemError, headers_of, problem_body
from serving.scheduler import OverloadedError

logger = logging.getLogger(__name__)

HEALTH = frozenset({"/livez", "/readyz", "/healthz"})
OPEN = HEALTH | {"/", "/openapi.json"}
"""Paths that need no key."""

NEEDS_ENGINE = frozenset({"/v1/classify", "/v1/analyze"})

_REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
_SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


class Guard:
    """Wraps the application.

    Args:
        app: BentoML's application; it answers the questions for its health.
        routes: the service's own application; it answers all else that may pass.
        max_body_bytes: longest body.
        max_seconds: longest time of one request.
        keys: the keys that are known; None where none are needed.
        check_room: raises `OverloadedError` when a request for the engine would be turned away anyhow, so that
            its body need not be read.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: ASGIApp,
        max_body_bytes: int,
        max_seconds: float,
        keys: KeyRing | None,
        check_room: Callable[[], None],
    ) -> None:
        self._app = app
        self._routes = routes
        self._max_body_bytes = max_body_bytes
        self._max_seconds = max_seconds
        self._keys = keys
        self._check_room = check_room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; what is no HTTP passes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Exchange(self, scope, receive, send).run()

    def route(self, scope: Scope) -> ASGIApp:
        """The application that a request is for."""
        return self._app if scope["path"] in HEALTH and scope["method"] in ("GET", "HEAD") else self._routes

    def admit(self, scope: Scope, headers: Headers) -> Key | None:
        """The key of a request that may pass.

        Raises:
            ProblemError: it may not.
        """
        path = scope["path"]
        key = None
        if self._keys is not None and path not in OPEN and scope["method"] != "OPTIONS":
            key = self._check_key(headers, "feedback" if path == "/v1/feedback" else "read")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise ProblemError(415, "content-encoding: packed bodies are not accepted; send it as it is")
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > self._max_body_bytes:
            raise self.too_large()
        if path in NEEDS_ENGINE:
            self._check_room()
        return key

    def _check_key(self, headers: Headers, needed: KeyScope) -> Key:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        key = self._keys.find(given.strip()) if self._keys and scheme.lower() == "bearer" else None
        if key is None:
            raise ProblemError(401, "expected the header `Authorization: Bearer KEY` with a key that is known here")
        if needed not in key.scopes:
            raise ProblemError(403, f"the key lacks the scope {needed!r}")
        return key

    def too_large(self) -> ProblemError:
        """The problem of a body over the limit."""
        return ProblemError(413, f"the body is too large; at most {self._max_body_bytes} bytes")


class _Exchange:
    """One request and its answer."""

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        self._guard = guard
        self._scope = scope
        self._receive = receive
        self._send = send
        self._headers = Headers(scope=scope)
        given = self._headers.get("x-request-id", "")
        self._id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        self._status = 0
        self._began = time.perf_counter()
        self._received = 0
        # A request with neither header has no body that could still come.
        self._whole = not {"content-length", "transfer-encoding"} & set(self._headers)
        self._key: Key | None = None

    async def run(self) -> None:
        guard, scope = self._guard, self._scope
        try:
            async with asyncio.timeout(guard._max_seconds):
                self._key = guard.admit(scope, self._headers)
                scope.setdefault("state", {}).update(request_id=self._id, key=self._key)
                await guard.route(scope)(scope, self._take, self._give)
        except TimeoutError:
            if self._whole:
                await self._problem(504, f"not done within {guard._max_seconds:g} s")
            else:
                await self._problem(408, f"the body did not come within {guard._max_seconds:g} s")
        except OverloadedError as error:
            await self._problem(429, str(error), {"retry-after": str(error.retry_after)})
        except ProblemError as error:
            await self._problem(error.status_code, error.detail, dict(headers_of(error)))
        except Exception:
            # Its answer was sent by the application.
            logger.exception("unforeseen error", extra={"fields": {"request_id": self._id}})
        finally:
            self._note()

    async def _take(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._received > self._guard._max_body_bytes:
                raise self._guard.too_large()
        return message

    async def _give(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(raw=message["headers"])
            for name, value in _SECURITY.items():
                headers.setdefault(name, value)
            headers["x-request-id"] = self._id
            if not self._whole and self._status >= 400:
                headers["connection"] = "close"
        await self._send(message)

    async def _problem(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        if self._status:
            # The answer has begun: nothing can be said any more, so the connection must not look whole.
            raise ConnectionAbortedError(f"answer broken off: {HTTPStatus(status).phrase}")
        body = problem_body(status, detail, self._id)
        extra = dict(headers or {})
        if status == 401:
            extra["www-authenticate"] = "Bearer"
        if status == 415:
            extra["accept-encoding"] = "identity"
        raw = [(name.encode(), value.encode()) for name, value in extra.items()]
        raw += [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        await self._give({"type": "http.response.start", "status": status, "headers": raw})
        await self._give({"type": "http.response.body", "body": body})

    def _note(self) -> None:
        path = self._scope["path"]
        if path in HEALTH:
            return
        seconds = time.perf_counter() - self._began
        route = path if path in metrics.ROUTES else "other"
        # A caller who hung up got no status; 499 is what proxies write for it.
        metrics.request_count(route, str(self._status or 499)).inc()
        metrics.request_seconds(route).observe(seconds)
        log_access(
            request_id=self._id,
            method=self._scope["method"],
            route=route,
            status=self._status or 499,
            seconds=round(seconds, 4),
            bytes=self._received,
            key=self._key.name if self._key else None,
        )
