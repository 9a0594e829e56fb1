"""Recordings in H.265, and with pictures out of order: masked for every browser, frame by frame exactly."""

from pathlib import Path

import av
import pytest

from safecity.errors import NotFound
from safecity.simulator.camera_film import FilmRecipe, kept_film
from safecity.simulator.camera_rtp import ClipCodec
from safecity.video.stream.bitstream import (
    CODECS,
    StreamInfo,
    VideoPacket,
    describe,
    join_sample,
    split_lengths,
    split_nals,
    split_record,
)
from safecity.video.viewing.playback import chunk
from safecity.video.viewing.reels import Library
from safecity.video.viewing.snapshots import read_snapshot
from safecity.video.viewing.steps import picture
from safecity.video.viewing.veil import Veil

from .viewing_parts import START_S, TICKS, Found, Recording, at, decoded, setup


def packets_of(path: Path) -> tuple[StreamInfo, list[VideoPacket]]:
    """Return a film's stream and packets as a session hands them on."""
    info: StreamInfo | None = None
    packets: list[VideoPacket] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec = CODECS[stream.codec_context.name]
        sets, length_size = split_record(codec.name, bytes(stream.codec_context.extradata or b""))
        first = None
        for packet in container.demux(stream):
            if not packet.size:
                continue
            data = bytes(packet)
            nals = split_lengths(data, length_size) if length_size else split_nals(data)
            sets = sets or tuple(nal for nal in nals if codec.kind(nal) in codec.sets)
            nals = [nal for nal in nals if codec.kind(nal) not in codec.no_picture]
            if info is None:
                info = describe(codec, sets, nals)
            ticks = round(packet.dts * stream.time_base * TICKS)
            first = ticks if first is None else first
            shift = round(packet.pts * stream.time_base * TICKS) - ticks
            moved = ticks - first
            packets.append(
                VideoPacket(
                    join_sample(nals), moved, shift, 9000, packet.is_keyframe, START_S + moved / TICKS
                )
            )
    assert info is not None
    return info, packets


def recorded(folder: Path, recipe: FilmRecipe) -> tuple[Library, list[VideoPacket]]:
    """Return a film recorded in files of two groups."""
    info, packets = packets_of(kept_film(folder, recipe))
    recording = Recording(folder / "recordings", 4.0)
    recording.feed(info, packets, "end")
    recording.close()
    return Library(folder / "recordings"), packets


def test_h265_is_shown_masked_to_every_browser_and_unmasked_says_what_it_is(tmp_path):
    recipe = FilmRecipe(width_px=640, height_px=360, fps=10, gop_s=2, length_s=6, codec=ClipCodec.HEVC)
    library, packets = recorded(tmp_path, recipe)
    plain = chunk(library, "cam", at(0), 1, None)
    assert "hvc1" in plain.mime or "hev1" in plain.mime
    assert len(decoded(plain.init, plain.fragments)) == 20
    masked = chunk(library, "cam", at(2), 1, Veil(setup(), Found()))
    assert "avc1" in masked.mime
    assert len(decoded(masked.init, masked.fragments)) == 20
    assert picture(library, "cam", at(2), -1, Veil(setup(), Found())).at == at(1.9)
    assert len(packets) == 60


@pytest.mark.parametrize("masked", [True, False])
def test_pictures_out_of_order_are_stepped_through_in_the_order_they_are_shown(tmp_path, masked):
    recipe = FilmRecipe(width_px=320, height_px=240, fps=10, gop_s=2, length_s=6, b_frames=2)
    library, packets = recorded(tmp_path, recipe)
    shown = sorted(packet.ticks + packet.shift_ticks for packet in packets)
    veil = Veil(setup(), Found()) if masked else None
    one = picture(library, "cam", at(0), 0, veil)
    seen = [one.at]
    for _ in range(44):
        one = picture(library, "cam", one.at, 1, veil)
        seen.append(one.at)
    expected = [at((ticks - shown[0]) / TICKS) for ticks in shown[:45]]
    assert [round((a - b).total_seconds(), 4) for a, b in zip(seen, expected, strict=True)] == [0.0] * 45
    count, following = 0, at(0)
    while following is not None:
        piece = chunk(library, "cam", following, 1, veil)
        count += len(decoded(piece.init, piece.fragments))
        following = piece.next
    assert count == len(packets)


def test_snapshots_come_from_their_folder_and_from_nowhere_else(tmp_path):
    day = tmp_path / "cam" / "snapshots" / "2026-01-01"
    day.mkdir(parents=True)
    (day / "event-1.jpg").write_bytes(b"picture")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "cam" / "secret.jpg").write_bytes(b"secret")
    (day / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "far.jpg").write_bytes(b"secret")
    (day.parent / "2026-01-02").symlink_to(outside)
    assert read_snapshot(tmp_path, "cam", "event-1") == b"picture"
    for camera, name in [
        ("cam", "../../../secret"),
        ("cam", "../secret"),
        ("cam", "link"),
        ("cam", "far"),
        ("cam", ""),
        ("cam", "event-1.jpg"),
        ("cam", "a" * 65),
        ("..", "secret"),
        ("../..", "secret"),
        (".", "secret"),
        ("other", "event-1"),
        ("cam", "event-1\x00"),
    ]:
        with pytest.raises(NotFound):
            read_snapshot(tmp_path, camera, name)
