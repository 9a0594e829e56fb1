"""Coded pictures out of RTP packets that come interleaved in an RTSP connection.

H.264 by RFC 6184 and H.265 by RFC 7798, in decoding order; interleaving by RFC 2326, section 10.12. All that
is usual (the middle of a large NAL unit) is done in one loop without a call, since a camera sends some
hundred packets a second.
"""

import struct
from collections import deque
from typing import Final, NamedTuple

from safecity.video.stream.source import RawPacket

FRAME_LIMIT_BYTES: Final = 4 + 0xFFFF
"""The largest interleaved frame: `$`, channel, 16 bits of length."""
UNIT_LIMIT_BYTES: Final = 16 * 1024 * 1024
"""A NAL unit that grows beyond belongs to no picture."""
PICTURE_LIMIT: Final = 1024
"""NAL units of one picture at most; level 6.2 allows 600 slices (ITU-T H.265, table A.8)."""
PICTURE_LIMIT_BYTES: Final = 2 * UNIT_LIMIT_BYTES
WAITING_LIMIT: Final = 256
"""NAL units that may wait for the picture they belong to."""
STEPS: Final = 8
"""Time stamps whose differences tell how long a picture lasts."""
NTP_TO_UNIX_S: Final = 2_208_988_800
"""RFC 5905, figure 4: seconds from 1900 to 1970."""
_DOLLAR: Final = 0x24
_PLAIN: Final = 0x80
"""First octet of an RTP packet of version 2 without padding, extension or contributing sources."""
_SENDER_REPORT: Final = 200
_GOODBYE: Final = 203
"""RTCP packet types (RFC 3550, section 12.1)."""
_HEAD: Final = struct.Struct(">BBHBBHI")
"""An interleaved frame's head and the RTP head up to its time stamp."""
_REPORT: Final = struct.Struct(">III")
SLACK_BYTES: Final = 16
"""A buffer must be so much longer than what is in it: heads are read at once."""


class Payload(NamedTuple):
    """How a codec's NAL units lie in RTP.

    fragment_mask, fragment: which first octets mean a fragment. header: octets of a NAL unit's header.
    aggregate: type of several units in one packet. known: types that a packet may hold by itself.
    pictures: types that are part of a coded picture. openers: those that begin the next access unit when a
    picture is complete (H.264 section 7.4.1.2.3, H.265 section 7.4.2.4.4).
    """

    fragment_mask: int
    fragment: int
    header: int
    aggregate: int
    known: frozenset[int]
    pictures: frozenset[int]
    openers: frozenset[int]


PAYLOADS: Final = {
    "h264": Payload(
        0x1F, 28, 1, 24, frozenset(range(24)), frozenset(range(6)), frozenset({6, 7, 8, 9, *range(14, 19)})
    ),
    "hevc": Payload(
        0x7E,
        98,
        2,
        48,
        frozenset(range(48)),
        frozenset(range(32)),
        frozenset({32, 33, 34, 35, 39, *range(41, 45)}),
    ),
}


class Depacketizer:
    """Puts the packets of one video track together. Used by one thread."""

    def __init__(self, codec: str, channel: int) -> None:
        """Take video of `codec` on the interleaved `channel`, its RTCP on the next one."""
        self.done: list[RawPacket] = []
        self.said_goodbye = False
        self._payload = PAYLOADS[codec]
        self._is_h264 = codec == "h264"
        self._channel = channel
        self._nals: list[bytes] = []
        self._held_bytes = 0
        self._unit: bytearray | None = None
        self._expected: int | None = None
        self._stamp: int | None = None
        self._ticks = 0
        # With B-frames the shown times go to and fro: the smallest step is the duration of a picture.
        self._steps: deque[int] = deque(maxlen=STEPS)
        self._has_picture = False
        self._is_damaged = False
        self._has_split = False
        self._marker_lies = False
        self._report: tuple[float, int] | None = None

    @property
    def is_empty(self) -> bool:
        """Return whether nothing of a next picture has come."""
        return self._unit is None and not self._nals

    def take(self, view: memoryview, begin: int, end: int) -> int:
        """Take the whole frames in `view[begin:end]`; return where what is not one begins.

        `view` must reach SLACK_BYTES beyond `end`. Pictures that are complete are then in `done`.
        """
        head, channel = _HEAD.unpack_from, self._channel
        mask, fragment, header = self._payload[:3]
        while end - begin >= 4:
            dollar, track, size, first, second, sequence, stamp = head(view, begin)
            after = begin + 4 + size
            if dollar != _DOLLAR or after > end:
                break
            at = begin + 16
            if (
                track == channel
                and first == _PLAIN
                # In the middle of a NAL unit: no marker here, neither start nor end below.
                and second < 0x80
                and sequence == self._expected
                and self._unit is not None
                and stamp == self._stamp
                and size > 13 + header
                and view[at] & mask == fragment
                and view[at + header] < 0x40
            ):
                self._unit += view[at + header + 1 : after]
                self._expected = (sequence + 1) & 0xFFFF
            elif track == channel:
                self._take_rtp(view[begin + 4 : after])
            elif track == channel + 1:
                self._take_rtcp(view[begin + 4 : after])
            begin = after
        if self._unit is not None and len(self._unit) > UNIT_LIMIT_BYTES:
            # Fragments without an end: only asked here, once for each look at the connection.
            self._is_damaged, self._unit = True, None
        return begin

    def _take_rtp(self, packet: memoryview) -> None:
        """Take one packet, whatever is in it (RFC 3550, section 5.1)."""
        if len(packet) < 13 or packet[0] >> 6 != 2:
            return
        _, _, _, first, second, sequence, stamp = _HEAD.unpack(b"\0\0\0\0" + packet[:8])
        begin, end = 12 + 4 * (first & 15), len(packet)
        if first & 0x10:
            begin += 4 + 4 * int.from_bytes(packet[begin + 2 : begin + 4], "big")
        if first & 0x20:
            end -= packet[-1]
        if self._expected is not None and sequence != self._expected:
            self._is_damaged, self._unit = True, None
        self._expected = (sequence + 1) & 0xFFFF
        if stamp != self._stamp:
            self._begin_stamp(stamp)
        if end - begin > self._payload.header:
            self._take_payload(packet[begin:end])
        if second & 0x80 and not self._marker_lies:
            self._finish()
            self._has_split = True

    def _begin_stamp(self, stamp: int) -> None:
        """Know that what follows is shown at another time: the picture before is complete."""
        self._finish()
        self._has_split = False
        if self._stamp is None:
            self._ticks = stamp
        else:
            # Time stamps wrap after 2^32; a step of more than half of that is one backwards.
            step = ((stamp - self._stamp + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
            self._ticks += step
            self._steps.append(abs(step))
        self._stamp = stamp

    def _take_payload(self, payload: memoryview) -> None:
        form = self._payload
        kind = self._kind(payload[0])
        if payload[0] & form.fragment_mask == form.fragment:
            self._take_fragment(payload)
        elif kind == form.aggregate:
            position = form.header
            while position + 2 < len(payload):
                size = int.from_bytes(payload[position : position + 2], "big")
                self._add(bytes(payload[position + 2 : position + 2 + size]))
                position += 2 + size
        elif kind in form.known:
            self._add(bytes(payload))
        else:
            self._is_damaged = True

    def _take_fragment(self, payload: memoryview) -> None:
        """Take a part of a NAL unit (RFC 6184, section 5.8; RFC 7798, section 4.4.3)."""
        header = self._payload.header
        flags = payload[header]
        if flags & 0x80:
            if self._is_h264:
                self._unit = bytearray([payload[0] & 0xE0 | flags & 0x1F])
            else:
                self._unit = bytearray([payload[0] & 0x81 | (flags & 0x3F) << 1, payload[1]])
        unit = self._unit
        if unit is None or len(unit) > UNIT_LIMIT_BYTES:
            self._is_damaged, self._unit = True, None
            return
        unit += payload[header + 1 :]
        if flags & 0x40:
            self._unit = None
            self._add(bytes(unit))

    def _add(self, nal: bytes) -> None:
        if len(nal) <= self._payload.header:
            return
        kind = self._kind(nal[0])
        is_picture = kind in self._payload.pictures or nal[0] >= 0x80
        opens = kind in self._payload.openers or (is_picture and self._is_first_slice(nal))
        if self._has_picture and opens:
            self._finish()
        elif self._has_split and is_picture and not opens:
            # The rest of a picture after the marker that should have ended it: this camera sets it anywhere.
            self._marker_lies = True
        self._has_picture |= is_picture
        self._nals.append(nal)
        self._held_bytes += len(nal)
        if len(self._nals) > PICTURE_LIMIT or self._held_bytes > PICTURE_LIMIT_BYTES:
            self._is_damaged = True
            self._finish()

    def _is_first_slice(self, nal: bytes) -> bool:
        """Return whether a slice is the first: first_mb_in_slice 0, first_slice_segment_in_pic_flag."""
        at = self._payload.header
        return len(nal) > at and nal[at] >= 0x80

    def _kind(self, octet: int) -> int:
        return octet & 0x1F if self._is_h264 else octet >> 1 & 0x3F

    def _finish(self) -> None:
        """Hand the picture on, with all that came before it; without a picture it waits for one."""
        self._held_bytes = 0
        if not self._has_picture:
            del self._nals[:-WAITING_LIMIT]
            return
        self.done.append(
            RawPacket(
                self._nals, self._ticks, None, min(self._steps, default=0), self._is_damaged, self._taken_s()
            )
        )
        self._nals = []
        self._has_picture = self._is_damaged = False

    def _taken_s(self) -> float | None:
        """Return when the picture was taken by the camera's clock; only once for each of its reports."""
        if self._report is None or self._stamp is None:
            return None
        (at_s, stamp), self._report = self._report, None
        return at_s + (((self._stamp - stamp + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000) / 90_000

    def _take_rtcp(self, packet: memoryview) -> None:
        """Take what the camera says of its clock, or that it ends (RFC 3550, sections 6.4.1 and 6.6)."""
        while len(packet) >= 4:
            size = 4 + 4 * int.from_bytes(packet[2:4], "big")
            if packet[1] == _SENDER_REPORT and min(size, len(packet)) >= 20:
                seconds, fraction, stamp = _REPORT.unpack_from(packet, 8)
                if seconds:
                    self._report = (seconds - NTP_TO_UNIX_S + fraction / 2**32, stamp)
            self.said_goodbye |= packet[1] == _GOODBYE
            packet = packet[size:]
