"""Write-only secrets: the public key locks a camera's account away, only a video process can open it.

The construction is a sealed box of standard parts, one message for each key pair:

    ephemeral  = a fresh X25519 key pair (RFC 7748)
    shared     = X25519(ephemeral private, recipient public)
    key        = HKDF-SHA256(shared, salt = ephemeral public || recipient public, info = INFO) (RFC 5869)
    box        = ChaCha20-Poly1305(key, nonce = 12 zero bytes, plain, associated data = camera id) (RFC 8439)
    sealed     = 0x01 || first 8 bytes of SHA-256(recipient public) || ephemeral public || box

The nonce may be constant since no key is ever used twice. The camera id as associated data keeps an account
from being moved to another camera; the name of the recipient's key says which private key opens it. Before it
is sealed the account is padded to a multiple of 128 bytes, so that its length tells nothing of the password.
"""

import hashlib
import os
from pathlib import Path
from typing import Final, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from safecity.errors import Configuration, Invalid
from safecity.model.base import Noun

INFO: Final = b"safecity camera account 1"
VERSION: Final = b"\x01"
KEY_BYTES: Final = 32
KEY_NAME_BYTES: Final = 8
TAG_BYTES: Final = 16
PAD_BYTES: Final = 128
HEAD_BYTES: Final = len(VERSION) + KEY_NAME_BYTES + KEY_BYTES
NONCE: Final = bytes(12)
MAX_FIELD: Final = 200
"""Characters of a user name or password; no camera takes more."""


class Account(Noun, frozen=True):
    """With what a camera lets us in; both empty when it asks for nothing. In no repr, log or answer."""

    user: str = ""
    password: str = ""

    def __post_init__(self) -> None:
        """Refuse what no camera takes. Raises Invalid."""
        for name, text in (("user", self.user), ("password", self.password)):
            if len(text) > MAX_FIELD or not text.isprintable():
                raise Invalid(f"a camera's {name} has at most {MAX_FIELD} printable characters")
        if self.password and not self.user:
            raise Invalid("a password without a user is no account; give both, or neither")

    def __repr__(self) -> str:
        """Say whether there is one, nothing of it."""
        return f"Account({'set' if self else 'none'})"

    def __bool__(self) -> bool:
        """Whether there is an account at all."""
        return bool(self.user)


class UnknownKey(Configuration):
    """It was sealed for a key that is not here."""


class Sealer(Protocol):
    """What locks accounts away. Asked anew for each account: the key may have been changed meanwhile."""

    def seal(self, account: Account, camera_id: str) -> bytes:
        """Return the account sealed for the video processes, bound to this camera."""
        ...


class PublicKey:
    """One key to which accounts are sealed."""

    def __init__(self, raw: bytes) -> None:
        """Use the 32 bytes of an X25519 public key. Raises Configuration when it is none."""
        if len(raw) != KEY_BYTES:
            raise Configuration(f"a camera key has {KEY_BYTES} bytes, this has {len(raw)}")
        self.raw = raw
        self._key = X25519PublicKey.from_public_bytes(raw)

    @property
    def name(self) -> bytes:
        """What sealed accounts call this key by."""
        return hashlib.sha256(self.raw).digest()[:KEY_NAME_BYTES]

    def seal(self, account: Account, camera_id: str) -> bytes:
        """Return the account sealed, bound to this camera."""
        ephemeral = X25519PrivateKey.generate()
        own = ephemeral.public_key().public_bytes_raw()
        key = _derived(ephemeral.exchange(self._key), own, self.raw)
        box = ChaCha20Poly1305(key).encrypt(NONCE, _padded(account), camera_id.encode())
        return VERSION + self.name + own + box


class PrivateKey:
    """One key that opens what was sealed to its public half."""

    def __init__(self, raw: bytes) -> None:
        """Use the 32 bytes of an X25519 private key. Raises Configuration when it is none."""
        if len(raw) != KEY_BYTES:
            raise Configuration(f"a camera key has {KEY_BYTES} bytes, this has {len(raw)}")
        self.raw = raw
        self._key = X25519PrivateKey.from_private_bytes(raw)
        self.public = PublicKey(self._key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        """Name the key by its public half."""
        return f"PrivateKey({self.public.name.hex()})"

    def open(self, sealed: bytes, camera_id: str) -> Account:
        """Return the account; raises Invalid when it was changed or belongs to another camera."""
        own, box = sealed[HEAD_BYTES - KEY_BYTES : HEAD_BYTES], sealed[HEAD_BYTES:]
        try:
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(own))
            key = _derived(shared, own, self.public.raw)
            plain = ChaCha20Poly1305(key).decrypt(NONCE, box, camera_id.encode())
            return msgspec.msgpack.decode(plain.rstrip(b"\0")[:-1], type=Account)
        except (InvalidTag, ValueError, msgspec.MsgspecError) as error:
            # An all-zero shared secret is a ValueError (RFC 7748 section 6.1).
            raise Invalid(
                f"the sealed account of camera {camera_id} was changed or is another camera's; set it again"
            ) from error


class PublicKeyFile:
    """The newest public key in a file: all that a process needs which only seals."""

    def __init__(self, path: Path) -> None:
        """Read `path` anew for each account."""
        self.path = path

    def seal(self, account: Account, camera_id: str) -> bytes:
        """Return the account sealed; raises Configuration when the key cannot be read."""
        return PublicKey(_read_keys(self.path)[0]).seal(account, camera_id)


class KeyRing:
    """The private keys of an installation in a file of mode 0600, newest first, and the public one beside it.

    There is one key; two while a rotation seals everything anew. The file is read when an account names a key
    that was not there at the last reading.
    """

    def __init__(self, path: Path) -> None:
        """Keep the keys in `path` and the newest public one in `path`.pub; nothing is read yet."""
        self.path = path
        self._known: dict[bytes, PrivateKey] = {}

    @property
    def public(self) -> PublicKeyFile:
        """The newest public key, without the private ones."""
        return PublicKeyFile(self.public_path)

    @property
    def public_path(self) -> Path:
        """File of the newest public key."""
        return self.path.with_name(self.path.name + ".pub")

    def ensure(self) -> None:
        """Make the first key when there is none, and the public file when it is missing."""
        if not self.path.exists():
            self._write([PrivateKey(X25519PrivateKey.generate().private_bytes_raw())])
        elif not self.public_path.exists():
            self._write(self._read())

    def seal(self, account: Account, camera_id: str) -> bytes:
        """Return the account sealed to the newest public key; needs only the public file."""
        return self.public.seal(account, camera_id)

    def open(self, sealed: bytes, camera_id: str) -> Account:
        """Return the account.

        Raises UnknownKey when its key is not in the file, Invalid when it was changed or is another camera's.
        """
        if len(sealed) < HEAD_BYTES + TAG_BYTES or sealed[:1] != VERSION:
            raise Invalid(f"the sealed account of camera {camera_id} is damaged; set it again")
        name = sealed[1 : 1 + KEY_NAME_BYTES]
        if name not in self._known:
            self._known = {key.public.name: key for key in self._read()}
        if name not in self._known:
            raise UnknownKey(
                f"the account of camera {camera_id} was sealed for another key than those in {self.path}; "
                "restore that file from its backup, or set the account again"
            )
        return self._known[name].open(sealed, camera_id)

    def begin_rotation(self) -> None:
        """Put a new key before the present ones: from now on everything is sealed to it."""
        self._write([PrivateKey(X25519PrivateKey.generate().private_bytes_raw()), *self._read()])

    def end_rotation(self) -> None:
        """Forget all keys but the newest; what was not sealed anew cannot be opened any more."""
        self._write(self._read()[:1])
        self._known.clear()

    def _read(self) -> list[PrivateKey]:
        return [PrivateKey(raw) for raw in _read_keys(self.path)]

    def _write(self, keys: list[PrivateKey]) -> None:
        # The private file first: nothing may be sealed to a key that nobody has on disk.
        _write_keys(self.path, [key.raw for key in keys])
        _write_keys(self.public_path, [keys[0].public.raw])


def _derived(shared: bytes, ephemeral: bytes, recipient: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=ephemeral + recipient, info=INFO).derive(shared)


def _padded(account: Account) -> bytes:
    # A one byte ends the text, as in ISO/IEC 9797-1 padding method 2; zeros follow.
    plain = msgspec.msgpack.encode(account) + b"\x80"
    return plain + bytes(-len(plain) % PAD_BYTES)


def _read_keys(path: Path) -> list[bytes]:
    try:
        keys = [bytes.fromhex(line) for line in path.read_text(encoding="ascii").split()]
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it holds no keys"
        raise Configuration(
            f"the camera keys in {path} cannot be read: {why}; restore that file from its backup"
        ) from error
    if not keys:
        raise Configuration(f"the camera keys in {path} are missing; restore that file from its backup")
    return keys


def _write_keys(path: Path, keys: list[bytes]) -> None:
    """Write keys as lines of hexadecimal, for the owner only, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    with partial.open("w", encoding="ascii") as file:
        file.write("".join(key.hex() + "\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
