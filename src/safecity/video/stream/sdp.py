"""What an RTSP camera says of its video: the session description (RFC 8866), as far as pictures need it."""

import base64
import binascii
import contextlib
import re
from typing import Final, NamedTuple

from safecity.video.stream.bitstream import TICKS_PER_S, split_nals

_ENCODINGS: Final = {"H264": "h264", "H265": "hevc"}
"""Encoding names of RFC 6184, section 8.1, and RFC 7798, section 7.1, as FFmpeg calls them."""
_SETS: Final = ("sprop-vps", "sprop-sps", "sprop-pps", "sprop-parameter-sets")
_NUMBER: Final = re.compile(r"\d+")


class VideoTrack(NamedTuple):
    """The first video of a description.

    codec: as in `CODECS`. control: where SETUP goes, relative to the base or absolute. session_control: where
    PLAY goes, empty when nothing is said. parameter_sets: those told beforehand.
    """

    codec: str
    control: str
    session_control: str
    parameter_sets: tuple[bytes, ...]


def video_track(text: str) -> VideoTrack | None:
    """Return the video that a session description offers, None when our own reader cannot take it.

    It takes H.264 and H.265 on a clock of 90 kHz whose NAL units come in decoding order.
    """
    head, *media = re.split(r"^(?=m=)", text, flags=re.MULTILINE)
    video = next((section for section in media if section.startswith("m=video")), None)
    if video is None:
        return None
    formats = video.split(maxsplit=4)[3:4]
    attributes = _attributes(video)
    name, _, clock = attributes.get("rtpmap", "").partition(" ")[2].partition("/")
    codec = _ENCODINGS.get(name.upper())
    options = _options(attributes.get("fmtp", ""))
    in_order = options.get("packetization-mode", "0") in {"0", "1"} and not any(
        _first(options.get(key, "0")) for key in ("sprop-max-don-diff", "sprop-depack-buf-nalus")
    )
    if not formats or codec is None or _first(clock) != TICKS_PER_S or not in_order:
        return None
    control = _attributes(head).get("control", "")
    return VideoTrack(codec, attributes.get("control", ""), control, _parameter_sets(options))


def _attributes(section: str) -> dict[str, str]:
    """Return the attributes of a section; of those given twice the first."""
    found: dict[str, str] = {}
    for line in section.splitlines():
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            found.setdefault(name.strip().lower(), value.strip())
    return found


def _options(fmtp: str) -> dict[str, str]:
    """Return the options of a format: `PAYLOAD-TYPE name=value;name=value`."""
    pairs = (part.partition("=") for part in fmtp.partition(" ")[2].split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _parameter_sets(options: dict[str, str]) -> tuple[bytes, ...]:
    found: list[bytes] = []
    for name in _SETS:
        for text in options.get(name, "").split(","):
            # A camera that garbles them here sends them again before a keyframe.
            with contextlib.suppress(binascii.Error, ValueError):
                # Some cameras put a start code before each.
                found += split_nals(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
    return tuple(found)


def _first(text: str) -> int:
    number = _NUMBER.match(text)
    return int(number.group()) if number else 0
