"""The latest packets of a stream, so that what set the gate off can be looked at from its beginning."""

from typing import Final

from safecity.video.stream.bitstream import TICKS_PER_S, VideoPacket

RETRO_S: Final = 1.0
"""How far before the motion was noticed a small stream is looked at; its gate is at most 0.6 s late."""
RING_LIMIT_BYTES: Final = 8 * 1024 * 1024


class Ring:
    """Packets of one stream. Used by one thread."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self.packets: list[VideoPacket] = []
        self._bytes = 0

    def keep(self, packet: VideoPacket) -> None:
        """Keep at least RETRO_S, from a keyframe on."""
        if packet.is_key:
            needed = (i for i, kept in enumerate(self.packets) if kept.is_key and _reaches(kept, packet))
            self.packets = self.packets[max(needed, default=0) :]
            self._bytes = sum(len(kept.sample) for kept in self.packets)
        elif not self.packets:
            return
        self.add(packet)

    def add(self, packet: VideoPacket) -> None:
        """Keep a packet behind the others; all go where they are too large together."""
        self.packets.append(packet)
        self._bytes += len(packet.sample)
        if self._bytes > RING_LIMIT_BYTES:
            self.clear()

    def begin(self, key: VideoPacket) -> list[VideoPacket]:
        """Begin anew with a keyframe; return what was kept before it."""
        before = self.packets
        self.packets, self._bytes = [key], len(key.sample)
        return before

    def clear(self) -> None:
        """Forget all."""
        self.packets = []
        self._bytes = 0


def _reaches(kept: VideoPacket, packet: VideoPacket) -> bool:
    """Return whether `kept` is so old that what it begins is enough to look back."""
    return packet.ticks - kept.ticks >= RETRO_S * TICKS_PER_S
