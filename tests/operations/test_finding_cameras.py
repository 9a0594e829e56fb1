"""A camera that is asked by ONVIF tells its streams, and no password that it has in them."""

import pytest

from safecity.access.sealed import Account
from safecity.clock import SystemClock
from safecity.errors import Invalid
from safecity.operations.finding_cameras import described
from safecity.simulator.onvif_device import OnvifDevice, SimulatedStream

VIEWER = Account(user="viewer", password="grey-cranes-7")


def _stream(token: str, url: str, width_px: int) -> SimulatedStream:
    return SimulatedStream(token=token, url=url, width_px=width_px, height_px=width_px * 9 // 16)


async def _described(*streams: SimulatedStream, account: Account = VIEWER):
    device = OnvifDevice(SystemClock(), VIEWER.user, VIEWER.password, streams)
    await device.start()
    try:
        return await described(device.url, account, SystemClock())
    finally:
        await device.stop()


async def test_main_and_sub_stream_are_named() -> None:
    told = await _described(
        _stream("main", "rtsp://127.0.0.1:8554/main", 1920), _stream("sub", "rtsp://127.0.0.1:8554/sub", 640)
    )
    assert (told.url, told.sub_url) == ("rtsp://127.0.0.1:8554/main", "rtsp://127.0.0.1:8554/sub")
    assert [(stream.width, stream.codec) for stream in told.streams] == [(1920, "h264"), (640, "h264")]


@pytest.mark.parametrize(
    "path",
    [
        f"user=viewer&password={VIEWER.password}&channel=1",
        f"live?usr=viewer&psw={VIEWER.password}",
        f"live/viewer/{VIEWER.password}/1",
    ],
)
async def test_an_address_that_holds_an_account_is_not_shown(path: str) -> None:
    told = await _described(_stream("main", f"rtsp://127.0.0.1/{path}", 1920))
    assert told.url == ""
    assert VIEWER.password not in repr(told)


async def test_a_wrong_account_is_refused_without_repeating_it() -> None:
    with pytest.raises(Invalid) as refused:
        await _described(account=Account(user="viewer", password="wrong-cranes"))
    assert "wrong-cranes" not in str(refused.value)
