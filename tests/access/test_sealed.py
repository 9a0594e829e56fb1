"""Sealed accounts open only with the right key, for the right camera, unchanged."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safecity.access.sealed import (
    HEAD_BYTES,
    PAD_BYTES,
    TAG_BYTES,
    Account,
    KeyRing,
    PrivateKey,
    PublicKey,
    UnknownKey,
)
from safecity.errors import Configuration, Invalid

VIEWER = Account(user="viewer", password="grey cranes")
RAW = bytes(range(32))
TEXT = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=200)


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    """A key ring with its first key."""
    made = KeyRing(tmp_path / "secrets" / "camera-key")
    made.ensure()
    return made


@given(user=TEXT.filter(bool), password=TEXT, camera_id=st.text(max_size=64))
def test_what_is_sealed_opens_again(user: str, password: str, camera_id: str) -> None:
    key = PrivateKey(RAW)
    account = Account(user=user, password=password)
    sealed = key.public.seal(account, camera_id)
    assert key.open(sealed, camera_id) == account
    assert user.encode() not in sealed or len(user) < 3
    assert (len(sealed) - HEAD_BYTES - TAG_BYTES) % PAD_BYTES == 0


def test_each_sealing_is_another_and_tells_no_length() -> None:
    key = PublicKey(PrivateKey(RAW).public.raw)
    short, long = Account(user="a", password="b"), Account(user="a", password="b" * 60)
    assert key.seal(short, "cam-1") != key.seal(short, "cam-1")
    assert len(key.seal(short, "cam-1")) == len(key.seal(long, "cam-1"))


@pytest.mark.parametrize("place", [1, 5, HEAD_BYTES - 1, HEAD_BYTES, -1])
def test_tampering_is_found(ring: KeyRing, place: int) -> None:
    sealed = bytearray(ring.seal(VIEWER, "cam-1"))
    sealed[place] ^= 1
    with pytest.raises((Invalid, UnknownKey), match="cam-1"):
        ring.open(bytes(sealed), "cam-1")


def test_every_byte_counts(ring: KeyRing) -> None:
    sealed = ring.seal(VIEWER, "cam-1")
    for place in range(len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 0x80]) + sealed[place + 1 :]
        try:
            opened = ring.open(changed, "cam-1")
        except (Invalid, UnknownKey):
            continue
        # X25519 ignores the highest bit of a public key (RFC 7748 section 5), but the salt does not.
        raise AssertionError(f"byte {place} was changed and {opened} opened")


def test_another_camera_cannot_use_it(ring: KeyRing) -> None:
    with pytest.raises(Invalid, match="another camera's"):
        ring.open(ring.seal(VIEWER, "cam-1"), "cam-2")


def test_another_key_cannot_open_it(ring: KeyRing, tmp_path: Path) -> None:
    other = KeyRing(tmp_path / "other")
    other.ensure()
    with pytest.raises(UnknownKey, match="restore that file"):
        other.open(ring.seal(VIEWER, "cam-1"), "cam-1")


@pytest.mark.parametrize("sealed", [b"", b"\x01", bytes(200), b"\x01" + bytes(200)])
def test_what_was_never_sealed_is_refused(ring: KeyRing, sealed: bytes) -> None:
    with pytest.raises((Invalid, UnknownKey)):
        ring.open(sealed, "cam-1")


def test_a_low_order_point_is_refused() -> None:
    key = PrivateKey(RAW)
    sealed = bytearray(key.public.seal(VIEWER, "cam-1"))
    sealed[HEAD_BYTES - 32 : HEAD_BYTES] = bytes(32)
    with pytest.raises(Invalid):
        key.open(bytes(sealed), "cam-1")


def test_the_keys_are_for_the_owner_and_sealing_needs_only_the_public_one(ring: KeyRing) -> None:
    assert stat.S_IMODE(ring.path.stat().st_mode) == 0o600
    before = ring.path.read_bytes()
    ring.ensure()
    assert ring.path.read_bytes() == before
    ring.path.unlink()
    sealed = ring.seal(VIEWER, "cam-1")
    with pytest.raises(Configuration, match="camera-key"):
        ring.open(sealed, "cam-1")
    ring.path.write_bytes(before)
    ring.public_path.unlink()
    ring.ensure()
    assert ring.open(ring.seal(VIEWER, "cam-1"), "cam-1") == VIEWER


def test_a_rotation_opens_old_and_new_until_it_ends(ring: KeyRing) -> None:
    reader = KeyRing(ring.path)
    old = ring.seal(VIEWER, "cam-1")
    assert reader.open(old, "cam-1") == VIEWER
    ring.begin_rotation()
    new = ring.seal(VIEWER, "cam-1")
    assert new[:9] != old[:9]
    assert [reader.open(sealed, "cam-1") for sealed in (new, old)] == [VIEWER, VIEWER]
    ring.end_rotation()
    assert ring.open(new, "cam-1") == VIEWER
    with pytest.raises(UnknownKey):
        ring.open(old, "cam-1")


@pytest.mark.parametrize("content", ["", "zz", "00ff"])
def test_a_broken_key_file_is_named(ring: KeyRing, content: str) -> None:
    ring.public_path.write_text(content)
    with pytest.raises(Configuration, match="key"):
        ring.seal(VIEWER, "cam-1")


def test_an_account_is_in_no_repr_and_has_limits() -> None:
    assert "grey" not in repr(VIEWER)
    assert "viewer" not in repr(VIEWER)
    assert "0001" not in repr(PrivateKey(RAW))
    assert not Account()
    for user, password in (("x" * 201, ""), ("a\nb", ""), ("a", "b\x00"), ("", "lonely")):
        with pytest.raises(Invalid):
            Account(user=user, password=password)
