"""The outermost application: telemetry beside the framework, security headers and figures around both."""

import re
import time
from typing import Any, Final

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import Message, Receive, Scope, Send

from safecity.web.hub import Hub
from safecity.web.metrics import Metrics
from safecity.web.telemetry import PATH, TelemetryApp

_HOST: Final = re.compile(r"[A-Za-z0-9.\-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")

_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
)


def content_security_policy(host: str) -> bytes:
    """Return the policy of every page: everything from here, nothing from elsewhere.

    worker-src blob: is for MapLibre, media-src blob: for Media Source Extensions, img-src for map icons;
    some browsers do not count sockets of the same host as 'self', so they are named.
    """
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        "img-src 'self' data: blob:; "
        f"font-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; connect-src 'self'{sockets}; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ).encode()


class Front:
    """What uvicorn serves."""

    def __init__(self, framework: Litestar, telemetry: TelemetryApp, hub: Hub, metrics: Metrics) -> None:
        """Wrap both ways in; `hub` feeds the sockets."""
        self.hub = hub
        self.framework = framework
        self._telemetry = telemetry
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and add what every answer carries."""
        if scope["type"] != ScopeType.HTTP:
            await self.framework(scope, receive, send)
            return
        began_s = time.perf_counter()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _with_security(scope, list(message.get("headers", ())))
            await send(message)

        is_telemetry = scope["path"] == PATH
        try:
            target: Any = self._telemetry if is_telemetry else self.framework
            await target(scope, receive, send_with_headers)
        finally:
            # The template, never the path itself: ids would make endless series.
            path = PATH if is_telemetry else scope.get("path_template") or "none"
            self._metrics.requests.labels(scope["method"], path, str(status)).inc()
            self._metrics.latency_s.labels(path).observe(time.perf_counter() - began_s)


def _with_security(scope: Scope, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    given = {name.lower() for name, _ in headers}
    host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
    headers += [(name, value) for name, value in _HEADERS if name not in given]
    headers.append((b"content-security-policy", content_security_policy(host)))
    if b"cache-control" not in given:
        headers.append((b"cache-control", b"no-store"))
    return headers
