"""Passwords: what is accepted, and Argon2id without blocking the event loop."""

import asyncio
from functools import lru_cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from safecity.errors import Invalid

MIN_PASSWORD: Final = 12
"""Characters; NIST SP 800-63B-4 section 3.1.1 asks for 8 with a second factor and for 15 without one."""

MAX_PASSWORD: Final = 256
HASHES_AT_ONCE: Final = 2
"""Each hash takes 64 MiB and a core for some 50 ms: more at once would starve the room."""

_hasher: Final = PasswordHasher()
"""Argon2id with the library's defaults: the second recommended option of RFC 9106 section 4 (64 MiB, t=3)."""


def checked_password(password: str, name: str) -> str:
    """Return an acceptable password; raises Invalid with what is wrong."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise Invalid(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters; a sentence is easiest")
    if name.casefold() in password.casefold():
        raise Invalid("the password must not contain the name")
    if len(set(password)) < MIN_PASSWORD // 2:
        raise Invalid("the password repeats too few characters; a sentence is easiest")
    return password


class Hashing:
    """Hashes and verifies in threads, a few at a time."""

    def __init__(self, at_once: int = HASHES_AT_ONCE) -> None:
        """Allow `at_once` computations at the same time."""
        self._room = asyncio.Semaphore(at_once)

    async def hash(self, password: str) -> str:
        """Return the Argon2id hash in PHC string form."""
        async with self._room:
            return await asyncio.to_thread(_hasher.hash, password)

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Return whether the password has this hash; without a hash it takes just as long and is False."""
        async with self._room:
            return await asyncio.to_thread(_verify, hashed, password[:MAX_PASSWORD])


@lru_cache(maxsize=1)
def _nobody() -> str:
    return _hasher.hash("no account has this password")


def _verify(hashed: str | None, password: str) -> bool:
    nobody = _nobody()
    try:
        return _hasher.verify(hashed or nobody, password) and hashed is not None
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False
