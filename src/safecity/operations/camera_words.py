"""What changed in a camera's setup, in words for the journal: never an address, never an account."""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from safecity.model.video import CameraSetup


class Named(Protocol):
    """A rule or a mask: something with a name of its own."""

    @property
    def name(self) -> str:
        """What people call it."""


PLAIN: Final = (
    ("name", "name"),
    ("place", "place"),
    ("url", "address"),
    ("sub_url", "address of the small stream"),
    ("transport", "transport"),
    ("onvif_url", "address for the camera's own events"),
    ("heading_deg", "direction"),
    ("field_of_view_deg", "field of view"),
    ("calibration", "calibration"),
    ("retention", "retention"),
)
"""Fields of which only the word is told; all others have sentences of their own."""


def what_changed(before: CameraSetup, after: CameraSetup) -> str:
    """Return in words what differs; empty when nothing does."""
    return ", ".join(_words(before, after))


def _words(before: CameraSetup, after: CameraSetup) -> Iterator[str]:
    for field, word in PLAIN:
        if getattr(before, field) != getattr(after, field):
            yield word
    yield from _listed("rule", before.rules, after.rules)
    yield from _listed("mask", before.masks, after.masks)
    if before.blur_persons != after.blur_persons:
        yield "people are made unrecognisable" if after.blur_persons else "people are shown as they are"
    if before.audio != after.audio:
        yield "sound is recorded where policy allows it" if after.audio else "no sound is recorded"
    if before.enabled != after.enabled:
        yield "switched on" if after.enabled else "switched off"


def _listed(word: str, before: Sequence[Named], after: Sequence[Named]) -> Iterator[str]:
    was, now = {one.name: one for one in before}, {one.name: one for one in after}
    for name in sorted(now.keys() - was.keys()):
        yield f"{word} '{name}' added"
    for name in sorted(was.keys() - now.keys()):
        yield f"{word} '{name}' removed"
    for name in sorted(was.keys() & now.keys()):
        if was[name] != now[name]:
            yield f"{word} '{name}' changed"
    if tuple(before) != tuple(after) and was == now:
        yield f"order of {word}s"
