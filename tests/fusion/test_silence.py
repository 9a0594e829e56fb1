"""Who is silent: judged against the source's own rhythm, gathered, raised once."""

from hypothesis import given
from hypothesis import strategies as st

from fusion_parts import RULES, START, sensor
from safecity.fusion.origin import Origin, Origins
from safecity.fusion.silence import SilenceWatch

T0 = START.timestamp()
RULE = RULES.silence
FACTOR = 5.0


def origin(id_: str = "s", period_s: float = 10.0) -> Origin:
    origins = Origins()
    origins.learn([sensor(id_, period_s=period_s)])
    found = origins.get(id_)
    assert found is not None
    return found


def watching(*origins: Origin) -> SilenceWatch:
    watch = SilenceWatch(RULE, FACTOR)
    watch.watch(origins, T0)
    return watch


def due_ids(watch: SilenceWatch, at_s: float) -> list[str]:
    return [silent.origin.id for silent in watch.due(T0 + at_s)]


def test_a_source_is_silent_after_its_own_missed_beats_and_once() -> None:
    watch = watching(origin(period_s=10))
    assert due_ids(watch, 50 + RULE.gather_s - 1) == []
    assert due_ids(watch, 50 + RULE.gather_s) == ["s"]
    assert due_ids(watch, 10_000) == []
    assert watch.silent_count == 1


def test_a_fast_source_has_the_floor_of_the_rule() -> None:
    watch = watching(origin(period_s=0.1))
    assert due_ids(watch, RULE.min_s + RULE.gather_s - 0.1) == []
    assert due_ids(watch, RULE.min_s + RULE.gather_s) == ["s"]


def test_a_source_without_a_rhythm_is_never_silent() -> None:
    watch = watching(origin(period_s=0.0))
    assert due_ids(watch, 1e9) == []
    assert watch.next_due_s == float("inf")


def test_one_that_speaks_while_others_are_gathered_is_not_reported() -> None:
    watch = watching(origin("a"), origin("b"))
    assert due_ids(watch, 51) == []
    watch.heard("a", T0 + 52)
    assert due_ids(watch, 70) == ["b"]


def test_one_that_spoke_again_can_fall_silent_again() -> None:
    watch = watching(origin())
    assert due_ids(watch, 70) == ["s"]
    watch.heard("s", T0 + 80)
    assert watch.silent_count == 0
    assert due_ids(watch, 80 + 50 + RULE.gather_s) == ["s"]


def test_older_news_do_not_count_as_a_beat() -> None:
    watch = watching(origin())
    watch.heard("s", T0 + 20)
    watch.heard("s", T0 + 5)
    assert due_ids(watch, 20 + 50 + RULE.gather_s) == ["s"]


def test_unknown_sources_are_not_watched() -> None:
    watch = watching()
    watch.heard("stranger", T0)
    assert due_ids(watch, 1e9) == []


def test_a_restored_silence_is_not_raised_again_until_it_spoke() -> None:
    watch = watching(origin())
    watch.restore("s")
    assert due_ids(watch, 1000) == []
    watch.heard("s", T0 + 1000)
    assert due_ids(watch, 1000 + 50 + RULE.gather_s) == ["s"]


def test_a_silence_that_outlives_its_incident_is_raised_again_at_the_set_time() -> None:
    watch = watching(origin())
    assert due_ids(watch, 70) == ["s"]
    watch.raise_again("s", T0 + 500)
    assert due_ids(watch, 499) == []
    assert due_ids(watch, 500 + RULE.gather_s) == ["s"]


def test_speaking_takes_the_set_time_away() -> None:
    watch = watching(origin())
    assert due_ids(watch, 70) == ["s"]
    watch.raise_again("s", T0 + 5000)
    watch.heard("s", T0 + 80)
    assert due_ids(watch, 80 + 50 + RULE.gather_s) == ["s"]


def test_many_that_fall_silent_together_come_together() -> None:
    watch = watching(*(origin(f"s{n:02}") for n in range(20)))
    for n in range(20):
        watch.heard(f"s{n:02}", T0 + n / 2)
    found: list[str] = []
    for at_s in range(40, 90):
        found = found or due_ids(watch, at_s)
    assert found == [f"s{n:02}" for n in range(20)]


@given(
    beats=st.lists(st.integers(0, 400), max_size=40),
    ticks=st.lists(st.integers(0, 600), max_size=60),
)
def test_whatever_is_heard_a_source_is_raised_once_for_each_silence(
    beats: list[int], ticks: list[int]
) -> None:
    watch = watching(origin())
    last, raised_since_beat = 0, 0
    for at_s, is_tick in sorted([(beat, False) for beat in beats] + [(tick, True) for tick in ticks]):
        if not is_tick:
            raised_since_beat = raised_since_beat if at_s <= last else 0
            last = max(last, at_s)
            watch.heard("s", T0 + at_s)
            continue
        for silent in watch.due(T0 + at_s):
            raised_since_beat += 1
            assert silent.last_s == T0 + last
            assert at_s - last >= 50 + RULE.gather_s
        assert raised_since_beat <= 1
    if raised_since_beat == 0:
        assert due_ids(watch, last + 2000) == ["s"]
