"""Digest and basic access authentication as RTSP cameras do it (RFC 2617 through RFC 2326, section 14)."""

import base64
import hashlib
import hmac
import re
from typing import Final

REALM: Final = "camera simulator"

_FIELD: Final = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


def challenge(nonce: str, *, basic: bool = False) -> str:
    """Return the WWW-Authenticate value that asks for a digest over `nonce`, or for a basic account."""
    if basic:
        return f'Basic realm="{REALM}"'
    return f'Digest realm="{REALM}", nonce="{nonce}", algorithm=MD5'


def is_authorised(header: str, method: str, nonce: str, user: str, password: str) -> bool:
    """Return whether the Authorization `header` proves that the sender knows `password`.

    MD5 is what RFC 2617 prescribes and what cameras speak; the link it protects is the loopback.
    """
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "digest":
        return False
    fields = {name.lower(): quoted or bare for name, quoted, bare in _FIELD.findall(rest)}
    if fields.get("username") != user or fields.get("realm") != REALM or fields.get("nonce") != nonce:
        return False
    ha1 = _md5(f"{user}:{REALM}:{password}")
    ha2 = _md5(f"{method}:{fields.get('uri', '')}")
    middle = nonce
    if "qop" in fields:
        middle = f"{nonce}:{fields.get('nc', '')}:{fields.get('cnonce', '')}:{fields['qop']}"
    expected = _md5(f"{ha1}:{middle}:{ha2}")
    return hmac.compare_digest(expected.encode(), fields.get("response", "").encode())


def is_basic(header: str, user: str, password: str) -> bool:
    """Return whether the Authorization `header` holds this account (RFC 2617, section 2)."""
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return hmac.compare_digest(expected.encode(), header.encode())


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
