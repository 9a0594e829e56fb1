"""`safecity analyse`: a film, or recorded detections, through the pipeline of the cameras."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from safecity.config import load
from safecity.errors import Invalid
from safecity.video.detector import make_detector
from safecity.video.offline import (
    Report,
    analyse_film,
    event_line,
    read_recording,
    read_setup,
    replay,
    rules_that_need_pictures,
    table,
)

PROGRESS_S = 10.0
"""Seconds of film between two lines of progress."""

Say = Callable[[str], None]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be analysed: a film, or detections that were recorded of one, by which rules."""

    rules: Path
    film: Path | None = None
    detections: Path | None = None
    save_detections: Path | None = None
    config: Path | None = None
    every_s: float = 0.2
    progress: bool = False


def analyse(order: Order, say: Say) -> Report:
    """Return what was found; `say` takes what a person who waits may read.

    Raises Invalid when the order, the film, the detections or the rules are wrong.
    """
    setup = read_setup(order.rules)
    if order.film is not None and order.detections is None:
        finder = make_detector(load(order.config).video)
        return analyse_film(
            order.film,
            setup,
            finder,
            every_s=order.every_s,
            save=order.save_detections,
            on_progress=_progress(say) if order.progress else _silent,
        )
    if order.detections is None or order.film is not None:
        raise Invalid("give a film, or recorded detections with --detections, and not both")
    if order.save_detections is not None:
        raise Invalid("--save-detections needs a film")
    for name in rules_that_need_pictures(setup):
        say(f"rule '{name}' looks at pictures and says nothing to recorded detections")
    assert order.detections is not None  # noqa: S101 - one of both is there
    return replay(read_recording(order.detections), setup)


def lines(report: Report, *, as_json: bool) -> Iterator[str]:
    """Yield the report as text: a table, or a line of JSON for each event and one that sums up."""
    if not as_json:
        yield table(report)
        return
    for event in report.events:
        yield event_line(event)
    yield msgspec.json.encode({"summary": report.summary()}).decode()


def _silent(_at_s: float, _length_s: float | None) -> None:
    pass


def _progress(say: Say) -> Callable[[float, float | None], None]:
    next_s = PROGRESS_S

    def on_progress(at_s: float, length_s: float | None) -> None:
        nonlocal next_s
        if at_s >= next_s:
            next_s = at_s + PROGRESS_S
            say(f"{at_s:.0f} s" + (f" of {length_s:.0f} s" if length_s else ""))

    return on_progress
