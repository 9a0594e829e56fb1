"""SOAP 1.2 over HTTP as ONVIF prescribes it (ONVIF Core Specification, sections 5 and 7)."""

import base64
import hashlib
import re
import secrets
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4
from xml.sax.saxutils import escape, quoteattr

from safecity.clock import Clock
from safecity.errors import Invalid, Unavailable
from safecity.video.onvif.xml import MAX_BYTES, Element, parse

ENVELOPE: Final = "http://www.w3.org/2003/05/soap-envelope"
DEVICE: Final = "http://www.onvif.org/ver10/device/wsdl"
MEDIA: Final = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2: Final = "http://www.onvif.org/ver20/media/wsdl"
EVENTS: Final = "http://www.onvif.org/ver10/events/wsdl"
NOTIFICATION: Final = "http://docs.oasis-open.org/wsn/b-2"
SCHEMA: Final = "http://www.onvif.org/ver10/schema"
_SECURITY: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_UTILITY: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_DIGEST: Final = (
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
)
_BASE64: Final = (
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
)
_ADDRESSING: Final = "http://www.w3.org/2005/08/addressing"

CONNECT_S: Final = 5.0
ANSWER_S: Final = 10.0
"""How long a device may take to accept a connection, and to answer."""
_PLAIN: Final = {"Accept-Encoding": "identity"}
"""A compressed answer could be a thousand times larger than it looks: not asked for and not unpacked."""
_REFUSALS: Final = ("NotAuthorized", "FailedAuthentication", "InvalidSecurity", "Sender not Authorized")
_REFUSED: Final = "the camera refuses this user or password"


class Fault(Unavailable):
    """The device understood and said no; the sentence holds its reason."""


class Soap:
    """Calls to one device with one account, by `async with`; neither account nor address is ever logged."""

    def __init__(self, url: str, user: str, password: str, clock: Clock) -> None:
        """Prepare to call the device service at `url`. Raises Invalid when it is no http or https address."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            raise Invalid("an ONVIF address looks like http://HOST/onvif/device_service, without an account")
        self.url = url
        self._parts = parts
        self._user = user
        self._password = password
        self._clock = clock
        self._ahead = timedelta()
        # Loaded with the first device: most video processes have none, and it takes memory in each.
        import httpx

        # Digest alone: an account never goes over the network readable, whatever the device asks for.
        auth = httpx.DigestAuth(user, password) if user else None
        self._client = httpx.AsyncClient(
            auth=auth, timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S), trust_env=False
        )

    async def __aenter__(self) -> "Soap":
        """Return the caller."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its connections."""
        await self._client.aclose()

    def here(self, url: str) -> str:
        """Return an address that the device gave, on the host by which the device is reached.

        Devices behind a router or with a forgotten address name others; and no device may send us elsewhere.
        """
        try:
            told = urlsplit(url)
            port = told.port
        except ValueError as error:
            raise Invalid("the device names a service whose address cannot be read") from error
        if told.scheme not in {"http", "https"}:
            raise Invalid("the device names a service that has no http address")
        host = self._parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        same_host = told.hostname == self._parts.hostname
        port = port if same_host else self._parts.port
        scheme = told.scheme if same_host else self._parts.scheme
        return urlunsplit((scheme, f"{host}:{port}" if port else host, told.path, told.query, ""))

    def set_device_time(self, moment: datetime) -> None:
        """Know what the device's clock says: a token made by another clock is refused as too old."""
        self._ahead = moment - self._clock.now()

    @property
    def ahead(self) -> timedelta:
        """Return how far the device's clock is ahead of ours."""
        return self._ahead

    async def call(
        self,
        url: str,
        body: str,
        *,
        action: str = "",
        headers: str = "",
        is_open: bool = False,
        answer_s: float = ANSWER_S,
    ) -> Element:
        """Return the child of the answer's body to a call.

        action: for the services that address by it. headers: more of them, as XML. is_open: needs no account.
        Raises Invalid for a wrong account and for what is no answer, Unavailable when there is none, Fault.
        """
        security = "" if is_open or not self._user else self._token()
        if action:
            headers += (
                f'<a:Action xmlns:a="{_ADDRESSING}">{action}</a:Action>'
                f'<a:MessageID xmlns:a="{_ADDRESSING}">urn:uuid:{uuid4()}</a:MessageID>'
                f'<a:To xmlns:a="{_ADDRESSING}">{escape(url)}</a:To>'
            )
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{ENVELOPE}">'
            f"<s:Header>{security}{headers}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
        )
        status, data = await self._post(url, text.encode(), action, answer_s)
        if status == HTTPStatus.UNAUTHORIZED:
            raise Invalid(_REFUSED)
        return _body(status, data)

    async def _post(self, url: str, data: bytes, action: str, answer_s: float) -> tuple[int, bytes]:
        import httpx

        kind = "application/soap+xml; charset=utf-8" + (f"; action={quoteattr(action)}" if action else "")
        timeout = httpx.Timeout(answer_s, connect=CONNECT_S)
        received = bytearray()
        try:
            async with self._client.stream(
                "POST", url, content=data, headers={"Content-Type": kind, **_PLAIN}, timeout=timeout
            ) as answer:
                async for chunk in answer.aiter_raw():
                    received += chunk
                    if len(received) > MAX_BYTES:
                        raise Invalid("the device's answer is larger than a megabyte")
        except httpx.HTTPError as error:
            raise Unavailable("the camera's ONVIF service does not answer; check its address") from error
        except (httpx.InvalidURL, UnicodeError) as error:
            raise Invalid("the device names a service whose address cannot be read") from error
        return answer.status_code, bytes(received)

    def _token(self) -> str:
        """Return a UsernameToken with a digest: base64(SHA-1(nonce + created + password)).

        WSS UsernameToken Profile 1.0, section 3.1. SHA-1 is what it prescribes.
        """
        nonce = secrets.token_bytes(16)
        created = (self._clock.now() + self._ahead).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        digest = hashlib.sha1(nonce + created.encode() + self._password.encode(), usedforsecurity=False)
        return (
            f'<w:Security xmlns:w="{_SECURITY}" xmlns:u="{_UTILITY}"><w:UsernameToken>'
            f"<w:Username>{escape(self._user)}</w:Username>"
            f'<w:Password Type="{_DIGEST}">{base64.b64encode(digest.digest()).decode()}</w:Password>'
            f'<w:Nonce EncodingType="{_BASE64}">{base64.b64encode(nonce).decode()}</w:Nonce>'
            f"<u:Created>{created}</u:Created></w:UsernameToken></w:Security>"
        )


def _body(status: int, data: bytes) -> Element:
    if status not in {HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR}:
        raise Unavailable(f"the camera's ONVIF service answers with the HTTP status {status}")
    root = parse(data)
    body = root.find("Body") if root.name == "Envelope" else None
    if body is None or not body.children:
        raise Invalid("the device's answer is no SOAP message")
    content = body.children[0]
    if content.name != "Fault":
        return content
    codes = " ".join(value.text for value in content.all("Value"))
    reason = readable(content.said("Reason", "Text"), 200)
    if any(word in codes or word in reason for word in _REFUSALS):
        raise Invalid(_REFUSED)
    raise Fault(f"the camera refuses a call: {reason or 'it says no reason'}")


def readable(text: str, limit: int) -> str:
    """Return a device's words in one line, without control characters, `limit` characters at most."""
    return re.sub(r"[^ -~\u00a0-\uffff]+", " ", text).strip()[:limit]
