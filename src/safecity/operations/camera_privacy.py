"""What a change of a camera's setup would show that is hidden now: that takes the right to unmask besides."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from safecity.errors import Forbidden
from safecity.model.video import CameraSetup, Mask
from safecity.store.transaction import Transaction
from safecity.video.masking.mask import Bits, rasterise

GRID: Final = 1024
"""Masks are compared on so many squares in each direction. A border can move by less than a square in all,
however often it is moved: whatever square a mask touches must be touched afterwards too."""


def check_reveals(before: CameraSetup, after: CameraSetup, *, may_reveal: bool) -> None:
    """Raise Forbidden when `after` shows what `before` hides and whoever asks may not unmask."""
    _check(_revealed(before, after), may_reveal=may_reveal)


async def check_new(tx: Transaction, setup: CameraSetup, *, may_reveal: bool) -> None:
    """Raise Forbidden when a new camera would show people, or an earlier camera's recordings unmasked."""
    recorded = await tx.connection.fetchval(
        "SELECT true FROM recording WHERE camera_id = $1 AND deleted_at IS NULL LIMIT 1", setup.id
    )
    _check(_revealed_by_new(setup, is_recorded=recorded is True), may_reveal=may_reveal)


def _check(revealed: Iterator[str], *, may_reveal: bool) -> None:
    what = ", ".join(revealed)
    if what and not may_reveal:
        raise Forbidden(
            f"this would show what is hidden now ({what}); whoever does it needs the right to see pictures "
            "without masks besides: ask somebody who has both rights, or use the command line of this machine"
        )


def _revealed(before: CameraSetup, after: CameraSetup) -> Iterator[str]:
    if before.blur_persons and not after.blur_persons:
        yield "people"
    if before.masks != after.masks:
        covered = _covered(after.masks)
        for mask in before.masks:
            if bool((_covered((mask,)) & ~covered).any()):
                yield f"what mask '{mask.name}' covers"


def _revealed_by_new(setup: CameraSetup, *, is_recorded: bool) -> Iterator[str]:
    if not setup.blur_persons:
        yield "people"
    if is_recorded:
        yield "recordings of an earlier camera with this id, which had masks of its own"


def _covered(masks: Sequence[Mask]) -> Bits:
    bits = np.zeros((GRID, GRID), dtype=bool)
    for mask in masks:
        bits |= rasterise(mask.polygon, GRID, GRID)
    return bits
