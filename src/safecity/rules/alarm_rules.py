"""Alarm rules: the city's policy on what a person is told about, as data that is checked when it is read."""

import math
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, TypeVar

import msgspec

from safecity.errors import Invalid
from safecity.model.base import Agency, Priority
from safecity.model.incident import IncidentType
from safecity.model.observation import Unit
from safecity.model.source import CameraState

BUILT_IN: Final = Path(__file__).with_name("alarm_rules.toml")
"""The rules that the program brings; a city writes its own in the same form."""

Words = Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Duration = Annotated[float, msgspec.Meta(ge=0, le=30 * 86_400)]
Length = Annotated[float, msgspec.Meta(gt=0, le=30 * 86_400)]
Agencies = Annotated[tuple[Agency, ...], msgspec.Meta(min_length=1)]


class Verdict(IntEnum):
    """What a rule says of one value: within limits, in the hysteresis band, or beyond the threshold."""

    CALM = 0
    BETWEEN = 1
    BEYOND = 2


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What every rule carries; alarm_rules.toml says each key in words.

    response_time_s: within which a person must act (ISA-18.2). again_after_s: a source still beyond the rule
    this long after its incident was closed raises again.
    """

    id: Name
    name: Words
    type: IncidentType
    priority: Priority
    priority_reason: Words
    action: Words
    response_time_s: Length
    agencies: Agencies
    origin: Words
    again_after_s: Length = 1800.0

    def __post_init__(self) -> None:
        """Refuse an agency that is named twice."""
        if len(set(self.agencies)) < len(self.agencies):
            raise ValueError("'agencies' names one twice; each owner is named once, the leading one first")


class SeriesRule(Rule, frozen=True, kw_only=True):
    """A rule on the series of values of one property of one source.

    for_s: how long a value must be beyond without a break. quiet_s: an episode ends when nothing was beyond
    for this long; infinite where only a calm value ends it.
    """

    for_s: Duration = 0.0
    quiet_s: Annotated[float, msgspec.Meta(gt=0)] = math.inf

    def verdict(self, value: float) -> Verdict:
        """Return what the rule says of one value."""
        raise NotImplementedError


class ThresholdRule(SeriesRule, frozen=True, kw_only=True, tag="threshold"):
    """A reading above or below a limit; `clear` is where the alarm ends, the hysteresis."""

    property_: Name = msgspec.field(name="property")
    unit: Unit
    clear: float
    above: float | None = None
    below: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits that cannot work together."""
        Rule.__post_init__(self)
        if (self.above is None) == (self.below is None):
            raise ValueError("give either 'above' or 'below', not both and not neither")
        limits = [limit for limit in (self.above, self.below, self.clear) if limit is not None]
        if not all(math.isfinite(limit) for limit in limits):
            raise ValueError("'above', 'below' and 'clear' must be finite numbers")
        if self.above is not None and self.clear >= self.above:
            raise ValueError(
                f"'clear' is {self.clear:g} and must lie under 'above', {self.above:g}, or the alarm chatters"
            )
        if self.below is not None and self.clear <= self.below:
            raise ValueError(
                f"'clear' is {self.clear:g} and must lie over 'below', {self.below:g}, or the alarm chatters"
            )

    @property
    def limit(self) -> float:
        """The threshold, in `unit`."""
        return self.above if self.above is not None else self.below or 0.0

    def verdict(self, value: float) -> Verdict:
        """Return what the rule says of one reading in `unit`."""
        if self.above is not None:
            if value > self.above:
                return Verdict.BEYOND
            return Verdict.CALM if value <= self.clear else Verdict.BETWEEN
        if value < self.limit:
            return Verdict.BEYOND
        return Verdict.CALM if value >= self.clear else Verdict.BETWEEN


class VideoRule(SeriesRule, frozen=True, kw_only=True, tag="video"):
    """An event that the video rooms saw, with a score of at least `min_score`."""

    property_: Name = msgspec.field(name="property")
    min_score: Annotated[float, msgspec.Meta(ge=0, le=1)]
    quiet_s: Length

    def verdict(self, value: float) -> Verdict:
        """Return what the rule says of an event's score; an event that did not happen ends nothing."""
        return Verdict.BEYOND if value >= self.min_score else Verdict.BETWEEN


class CameraRule(SeriesRule, frozen=True, kw_only=True, tag="camera"):
    """A camera in a state that raises; a state in `clear_states` ends it, others change nothing."""

    states: Annotated[tuple[CameraState, ...], msgspec.Meta(min_length=1)]
    clear_states: Annotated[tuple[CameraState, ...], msgspec.Meta(min_length=1)]

    LOST: ClassVar[float] = 1.0
    LIVE: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        """Refuse a state that raises and ends at once."""
        Rule.__post_init__(self)
        if set(self.states) & set(self.clear_states):
            raise ValueError("'states' and 'clear_states' must not share a state")

    def value_of(self, state: str) -> float:
        """Return a camera state as the value that `verdict` reads: 1 raises, 0 ends, between does nothing."""
        if state in self.states:
            return self.LOST
        return self.LIVE if state in self.clear_states else 0.5

    def verdict(self, value: float) -> Verdict:
        """Return what the rule says of a value from `value_of`."""
        if value >= self.LOST:
            return Verdict.BEYOND
        return Verdict.CALM if value <= self.LIVE else Verdict.BETWEEN


class SilenceRule(Rule, frozen=True, kw_only=True, tag="silence"):
    """A sensor that misses `factor` beats of its own rhythm (absent: the configuration's factor)."""

    factor: Annotated[float, msgspec.Meta(gt=1)] | None = None
    min_s: Duration
    gather_s: Duration
    mass: Annotated[int, msgspec.Meta(ge=2)]


class CallRule(Rule, frozen=True, kw_only=True, tag="call"):
    """A call, or a person's own entry, about an incident of `type`."""


class FlappingRule(Rule, frozen=True, kw_only=True, tag="flapping"):
    """More than `alarms` alarms of one source within `window_s` are held, and this is raised once."""

    alarms: Annotated[int, msgspec.Meta(ge=1)]
    window_s: Length


AnyRule = ThresholdRule | VideoRule | CameraRule | SilenceRule | CallRule | FlappingRule
R = TypeVar("R", bound=Rule)


class AlarmRules:
    """All rules of a city, found by what they look at."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Take every rule; raises Invalid when two clash or one that every city needs is missing."""
        self.all: tuple[Rule, ...] = tuple(rules)
        self.by_id: dict[str, Rule] = {rule.id: rule for rule in rules}
        _refuse_repeats("id", [rule.id for rule in rules])
        self._thresholds: dict[tuple[str, Unit], tuple[ThresholdRule, ...]] = {}
        self._units: dict[str, tuple[Unit, ...]] = {}
        for rule in self._of(ThresholdRule):
            key = (rule.property_, rule.unit)
            self._thresholds[key] = (*self._thresholds.get(key, ()), rule)
            self._units[rule.property_] = tuple({*self._units.get(rule.property_, ()), rule.unit})
        videos = self._of(VideoRule)
        _refuse_repeats("property of a video rule", [rule.property_ for rule in videos])
        self._videos = {rule.property_: rule for rule in videos}
        calls = self._of(CallRule)
        _refuse_repeats("type of a call rule", [rule.type for rule in calls])
        self._calls: dict[str, CallRule] = {rule.type.value: rule for rule in calls}
        self.silence = self._only(SilenceRule, "silence")
        self.camera = self._only(CameraRule, "camera")
        self.flapping = self._only(FlappingRule, "flapping")
        if IncidentType.OTHER not in self._calls:
            raise Invalid(
                "the alarm rules lack a call rule of type 'other'; it serves calls that fit no other"
            )

    def thresholds(self, property_: str, unit: Unit) -> tuple[ThresholdRule, ...]:
        """Return the rules for readings of a property in a unit."""
        return self._thresholds.get((property_, unit), ())

    def expects(self, property_: str) -> tuple[Unit, ...]:
        """Return the units in which rules want a property; empty when no rule looks at it."""
        return self._units.get(property_, ())

    def video(self, property_: str) -> VideoRule | None:
        """Return the rule for a video event, if there is one."""
        return self._videos.get(property_)

    def call(self, type_: str) -> CallRule:
        """Return the rule for a call of an incident type; the one for 'other' when it has none of its own."""
        return self._calls.get(type_, self._calls[IncidentType.OTHER])

    def _of(self, kind: type[R]) -> list[R]:
        return [rule for rule in self.all if isinstance(rule, kind)]

    def _only(self, kind: type[R], name: str) -> R:
        found = self._of(kind)
        if len(found) != 1:
            raise Invalid(f"there must be exactly one alarm rule of kind '{name}'; there are {len(found)}")
        return found[0]


def _refuse_repeats(what: str, names: Sequence[str]) -> None:
    repeated = sorted(str(name) for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise Invalid(f"the alarm rules repeat the {what} '{repeated[0]}'; each must be there once")


def load_alarm_rules(path: Path = BUILT_IN) -> AlarmRules:
    """Return the alarm rules of a TOML file; raises Invalid with file, rule, key and reason."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"the alarm rules {path} cannot be read: {error}") from error
    try:
        return parse_alarm_rules(text)
    except Invalid as error:
        raise Invalid(f"{path.name}: {error}") from error


def parse_alarm_rules(text: str) -> AlarmRules:
    """Return the alarm rules that TOML text holds; raises Invalid with rule, key and reason."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"the alarm rules are not valid TOML: {error}") from error
    tables = raw.pop("rule", None)
    if raw:
        unknown = next(iter(raw))
        raise Invalid(f"the alarm rules hold an unknown key '{unknown}'; only [[rule]] tables belong there")
    if not isinstance(tables, list) or not tables:
        raise Invalid("the alarm rules hold no [[rule]] table")
    return AlarmRules([_rule(table, position) for position, table in enumerate(tables, start=1)])


def _rule(table: Any, position: int) -> Rule:
    named = table.get("id") if isinstance(table, dict) else None
    name = f"alarm rule '{named}'" if named else f"alarm rule number {position}"
    try:
        rule: Rule = msgspec.convert(table, AnyRule)
    except msgspec.ValidationError as error:
        raise Invalid(f"{name}{_with_key(str(error))}") from error
    return rule


def _with_key(message: str) -> str:
    """Bring the key that msgspec names at the end, or in backquotes, to the front of the sentence."""
    sentence, _, path = message.partition(" - at `$")
    key = path.rstrip("`").lstrip(".") or next(iter(re.findall(r"field `(\w+)`", sentence)), "")
    return f", key '{key}': {sentence}" if key else f": {sentence}"
