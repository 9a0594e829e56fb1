"""Who may try to log in now: cameras lock accounts that are tried too often with a wrong password.

Streams that share a device and an account (both streams of a camera, all channels of a recorder) share their
attempts too. Until one of them has been let in they try one after the other, and after a refusal none of them
tries for a while.
"""

import hashlib
import threading
from enum import Enum, auto
from typing import Final
from urllib.parse import urlsplit

import msgspec

from safecity.clock import Clock
from safecity.video.camera import CameraConfig

TURN_S: Final = 15.0
"""An attempt that takes longer no longer keeps the others waiting."""
LOOK_S: Final = 0.05
"""How soon to ask again while another stream tries."""


class _Door(Enum):
    TRIED = auto()
    """Somebody is trying at this moment."""
    OPEN = auto()
    """The account is right."""
    SHUT = auto()
    """The account was refused."""


class _Account(msgspec.Struct):
    door: _Door
    until_s: float


class Admission:
    """Attempts of one process, by device and account. Methods are for any thread."""

    def __init__(self, clock: Clock) -> None:
        """Know nothing yet."""
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: dict[bytes, _Account] = {}

    def enter(self, key: bytes) -> float:
        """Return 0.0 when the caller may try now (it must then tell how it went), else seconds to wait."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            account = self._accounts.get(key)
            if account is not None and account.door is _Door.OPEN:
                return 0.0
            if account is not None and now_s < account.until_s:
                return account.until_s - now_s if account.door is _Door.SHUT else LOOK_S
            self._accounts[key] = _Account(_Door.TRIED, now_s + TURN_S)
            return 0.0

    def is_shut(self, key: bytes) -> bool:
        """Return whether the account was refused and may not be tried now."""
        with self._lock:
            account = self._accounts.get(key)
            return (
                account is not None
                and account.door is _Door.SHUT
                and self._clock.monotonic_s() < account.until_s
            )

    def accepted(self, key: bytes) -> None:
        """Know that the device took the account."""
        with self._lock:
            self._accounts[key] = _Account(_Door.OPEN, 0.0)

    def refused(self, key: bytes, wait_s: float) -> None:
        """Know that the device refused the account: nobody tries it for `wait_s`."""
        with self._lock:
            self._accounts[key] = _Account(_Door.SHUT, self._clock.monotonic_s() + wait_s)

    def left(self, key: bytes) -> None:
        """Know that an attempt ended without an answer about the account."""
        with self._lock:
            account = self._accounts.get(key)
            if account is not None and account.door is _Door.TRIED:
                del self._accounts[key]


def account_key(config: CameraConfig, url: str) -> bytes:
    """Return what device and account of `url` are known by here: a digest that tells nobody either."""
    parts = urlsplit(url)
    text = "\0".join((parts.hostname or "", str(parts.port or ""), config.user, config.password))
    return hashlib.sha256(text.encode()).digest()
