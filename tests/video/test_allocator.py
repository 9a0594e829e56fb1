"""The C library takes the settings, or the program goes on without them."""

import ctypes
import platform

import pytest

from safecity.video.allocator import give_back_early


def test_glibc_takes_the_settings() -> None:
    assert give_back_early() is (platform.libc_ver()[0] == "glibc")


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        """A library without mallopt."""

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Other())
    assert give_back_early() is False
