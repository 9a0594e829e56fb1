"""Requests and answers of an RTSP connection (RFC 2326), with the account proved as the camera asks."""

import base64
import hashlib
import re
import secrets
import socket
import struct
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from safecity.video.stream.source import LostError, RefusedError

RTSP_PORT: Final = 554
"""RFC 2326, section 3.2."""
HEAD_LIMIT_BYTES: Final = 64 * 1024
BODY_LIMIT_BYTES: Final = 256 * 1024
CLOSED: Final = "the camera closed the connection"
NOT_UNDERSTOOD: Final = "the camera's answer is not understood"
_FIELD: Final = re.compile(r'([\w-]+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')
_HASHES: Final = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
"""Algorithms of RFC 7616, section 3.3; RTSP 1.0 itself knows only MD5 (RFC 2617)."""


class Answer(NamedTuple):
    """A camera's answer; names of headers in small letters, of those given twice all values."""

    status: int
    headers: Mapping[str, list[str]]
    body: bytes

    def header(self, name: str) -> str:
        """Return the first value of a header, empty when there is none."""
        return self.headers.get(name, [""])[0]


class Dialogue:
    """One connection's requests. Used by one thread."""

    def __init__(self, url: str, user: str, password: str, timeout_s: float) -> None:
        """Connect to the camera at `url`, an address without an account. Raises OSError."""
        parts = urlsplit(url)
        address = (parts.hostname or "", parts.port or RTSP_PORT)
        self.socket = socket.create_connection(address, timeout=timeout_s)
        # One system call for each look, and not two: the kernel keeps the time.
        self.socket.settimeout(None)
        limit = struct.pack("ll", int(timeout_s), int(timeout_s % 1 * 1e6))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self.rest = b""
        self.session = ""
        self._user, self._password = user, password
        self._sequence = 0
        self._challenge: dict[str, str] | None = None
        self._uses = 0

    def ask(self, method: str, url: str, **headers: str) -> Answer:
        """Return the camera's answer; prove the account when it asks. Raises OSError and LostError."""
        self.send(method, url, **headers)
        answer = self._receive()
        if answer.status == 401 and self._take_challenge(answer):
            self.send(method, url, **headers)
            answer = self._receive()
        return answer

    def send(self, method: str, url: str, **headers: str) -> None:
        """Send a request; its answer is not waited for. Raises OSError."""
        self._sequence += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._sequence}", "User-Agent: Safe City"]
        if self.session:
            lines.append(f"Session: {self.session}")
        if self._challenge is not None:
            lines.append(f"Authorization: {self._proof(method, url)}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def take_answer(self, data: bytes) -> tuple[Answer | None, int]:
        """Return the answer at the beginning of `data`, None for a camera's own request, and its length.

        The length is 0 while it is not whole. Raises LostError for what is no answer.
        """
        end = data.find(b"\r\n\r\n")
        if end < 0:
            if len(data) > HEAD_LIMIT_BYTES:
                raise LostError(NOT_UNDERSTOOD)
            return None, 0
        first, *lines = data[:end].decode("utf-8", "replace").split("\r\n")
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers.setdefault(name.strip().lower(), []).append(value.strip())
        length = headers.get("content-length", ["0"])[0]
        if not length.isdecimal() or int(length) > BODY_LIMIT_BYTES or "RTSP/" not in first:
            raise LostError(NOT_UNDERSTOOD)
        whole = end + 4 + int(length)
        if len(data) < whole:
            return None, 0
        if not first.startswith("RTSP/"):
            return None, whole
        status = first.split(maxsplit=2)[1:2]
        if not (status and status[0].isdecimal()):
            raise LostError(NOT_UNDERSTOOD)
        return Answer(int(status[0]), headers, data[end + 4 : whole]), whole

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def _receive(self) -> Answer:
        """Return the next answer; pictures that come before it are left out."""
        data = self.rest
        while True:
            data = _without_frames(data)
            answer, length = (None, 0) if data[:1] == b"$" else self.take_answer(data)
            data = data[length:]
            if answer is not None:
                self.rest = data
                return answer
            if length:
                continue
            more = self.socket.recv(65_536)
            if not more:
                raise LostError(CLOSED)
            data += more

    def _take_challenge(self, answer: Answer) -> bool:
        """Return whether the account can be proved in a way that was not tried yet."""
        if not self._user:
            return False
        asked = answer.headers.get("www-authenticate", [])
        digests = [fields for fields in map(_digest, asked) if fields]
        if digests:
            best = max(digests, key=lambda fields: fields["algorithm"] == "SHA-256")
            is_new = self._challenge is None or best.get("stale", "").lower() == "true"
            self._challenge, self._uses = best, 0
            return is_new
        if self._challenge is None and any(value.lower().startswith("basic") for value in asked):
            self._challenge = {}
            return True
        return False

    def _proof(self, method: str, url: str) -> str:
        """Return the Authorization header (RFC 7616, section 3.4; RFC 7617)."""
        asked = self._challenge or {}
        if not asked:
            return "Basic " + base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
        self._uses += 1
        count, ours = f"{self._uses:08x}", secrets.token_hex(8)

        def hashed(text: str) -> str:
            # MD5 is what cameras speak; it proves, and hides nothing.
            return _HASHES[asked["algorithm"]](text.encode(), usedforsecurity=False).hexdigest()

        secret = hashed(f"{self._user}:{asked.get('realm', '')}:{self._password}")
        request = hashed(f"{method}:{url}")
        nonce = asked.get("nonce", "")
        with_count = "auth" in [word.strip() for word in asked.get("qop", "").split(",")]
        middle = f"{nonce}:{count}:{ours}:auth" if with_count else nonce
        fields = {
            "username": self._user,
            "realm": asked.get("realm", ""),
            "nonce": nonce,
            "uri": url,
            "response": hashed(f"{secret}:{middle}:{request}"),
        }
        quoted = [f'{name}="{value}"' for name, value in fields.items()]
        if asked.get("opaque"):
            quoted.append(f'opaque="{asked["opaque"]}"')
        if asked["named"]:
            quoted.append(f"algorithm={asked['algorithm']}")
        if with_count:
            quoted.append(f'qop=auth, nc={count}, cnonce="{ours}"')
        return "Digest " + ", ".join(quoted)


def check(answer: Answer) -> Answer:
    """Return an answer that is a success. Raises RefusedError and LostError for any other."""
    if 200 <= answer.status < 300:
        return answer
    if answer.status == 401:
        raise RefusedError("wrong user or password", of_account=True)
    if answer.status == 403:
        raise RefusedError("this account may not see the stream", of_account=True)
    if answer.status == 404:
        raise RefusedError("the camera has no stream at this path")
    if answer.status == 461:
        raise RefusedError("the camera does not send by TCP; try UDP")
    if 400 <= answer.status < 500:
        raise RefusedError("the camera refuses the request")
    raise LostError("the camera reports a failure of its own")


def _digest(value: str) -> dict[str, str] | None:
    """Return the fields of a digest challenge that can be answered. named: the algorithm was."""
    scheme, _, rest = value.partition(" ")
    if scheme.lower() != "digest":
        return None
    fields = {name.lower(): quoted or bare for name, quoted, bare in _FIELD.findall(rest)}
    named = fields.get("algorithm", "")
    fields["named"] = named
    fields["algorithm"] = named.upper() or "MD5"
    return fields if fields["algorithm"] in _HASHES else None


def _without_frames(data: bytes) -> bytes:
    """Return `data` without the whole interleaved frames at its beginning."""
    while data[:1] == b"$" and len(data) >= 4:
        size = 4 + int.from_bytes(data[2:4], "big")
        if len(data) < size:
            break
        data = data[size:]
    return data
