"""Forgiving search for places: other alphabets, other spellings, unfinished words."""

import re
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from safecity.city.gazetteer import Entry, EntryKind
from safecity.city.graph import RoadGraph

_LETTERS: Final[dict[str, str]] = {
    "ё": "yo", "ж": "j", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "sh", "ъ": "", "ь": "", "ю": "yu", "я": "ya",
    "ў": "o", "қ": "q", "ғ": "g", "ҳ": "h", "і": "i", "ї": "yi", "є": "ye",
    "ç": "ch", "ş": "sh", "ı": "i", "ł": "l", "ø": "o", "đ": "d",
}  # fmt: skip
_COMPARED: Final = str.maketrans(
    {
        **dict(zip("абвгдезийклмнопрстуфхыэ", "abvgdezijklmnoprstufxie", strict=True)),
        **_LETTERS,
        **dict.fromkeys("'’‘ʻʼ`´ʹ", ""),
    }
)
"""Letters that people type for each other: Uzbek in both alphabets, Russian, Turkish, German."""

_SAME: Final = (("ae", "a"), ("oe", "o"), ("ue", "u"), ("kh", "x"), ("zh", "j"), ("strasse", "str"))
_WORDS: Final[dict[str, str]] = {
    "ulitsa": "ul",
    "street": "st",
    "kochasi": "koch",
    "kocha": "koch",
    "prospekt": "pr",
    "shoxkochasi": "shoxkoch",
}
_CROSSING: Final = re.compile(r"\s*(?:/|&|\+|\s(?:und|and|va|i|и|ecke|x)\s)\s*", re.IGNORECASE)
_TOKEN: Final = re.compile(r"[^\W_]+")

_KIND_RANK: Final[dict[EntryKind, int]] = {
    EntryKind.LOCALITY: 0,
    EntryKind.STREET: 1,
    EntryKind.HOSPITAL: 2,
    EntryKind.FIRE_STATION: 2,
    EntryKind.POLICE_STATION: 2,
    EntryKind.AMBULANCE_STATION: 2,
    EntryKind.SCHOOL: 3,
    EntryKind.PLACE: 4,
    EntryKind.ADDRESS: 5,
    EntryKind.CROSSING: 5,
    EntryKind.HYDRANT: 9,
}
_MAX_QUERY: Final = 200


def fold(text: str) -> str:
    """Return `text` in the one spelling that is compared: small Latin letters without marks."""
    latin = unicodedata.normalize("NFKC", text).casefold().translate(_COMPARED)
    parts = unicodedata.normalize("NFKD", latin)
    plain = "".join(c for c in parts if not unicodedata.combining(c)).casefold()
    for written, compared in _SAME:
        plain = plain.replace(written, compared)
    return plain


def tokens(text: str) -> list[str]:
    """Return the folded words of `text`."""
    return [_WORDS.get(word, word) for word in _TOKEN.findall(fold(text))]


class PlaceIndex:
    """Entries by the beginnings of their words."""

    def __init__(self, entries: Sequence[Entry], graph: RoadGraph) -> None:
        """Index the words of every entry; crossings are worked out on `graph` when asked for."""
        self._entries = entries
        self._graph = graph
        pairs = sorted((word, i) for i, entry in enumerate(entries) for word in _words_of(entry))
        self._words = [word for word, _ in pairs]
        self._owners = array("l", (i for _, i in pairs))

    def search(self, query: str, limit: int) -> tuple[Entry, ...]:
        """Return at most `limit` entries, likeliest first; each word of the query begins one of theirs."""
        query = query[:_MAX_QUERY]
        streets = [part for part in _CROSSING.split(query) if part.strip()]
        if len(streets) == 2:
            crossings = self._crossings(streets[0], streets[1], limit)
            if crossings:
                return crossings
        words = tokens(query)
        ranked = sorted(self._candidates(words), key=lambda i: self._rank(i, words))
        return tuple(self._entries[i] for i in ranked[:limit])

    def _candidates(self, words: list[str]) -> set[int]:
        found: set[int] | None = None
        for word in sorted(words, key=len, reverse=True):
            owners = set(self._beginning_with(word))
            found = owners if found is None else found & owners
            if not found:
                return set()
        return found or set()

    def _beginning_with(self, word: str) -> Iterator[int]:
        at = bisect_left(self._words, word)
        while at < len(self._words) and self._words[at].startswith(word):
            yield self._owners[at]
            at += 1

    def _rank(self, i: int, words: list[str]) -> tuple[int, int, int, str, int]:
        entry = self._entries[i]
        name = tokens(entry.name)
        unmatched = sum(word not in name for word in words)
        return (unmatched, _KIND_RANK[entry.kind], abs(len(name) - len(words)), entry.name, i)

    def _crossings(self, one: str, other: str, limit: int) -> tuple[Entry, ...]:
        """Return where two streets meet on the road graph."""
        graph = self._graph
        here, there = self._street_nodes(one), self._street_nodes(other)
        found: list[Entry] = []
        for name_a, nodes_a in here.items():
            for name_b, nodes_b in there.items():
                if name_a != name_b:
                    found += [
                        Entry(
                            EntryKind.CROSSING,
                            f"{name_a} / {name_b}",
                            "",
                            float(graph.node_lon[node]),
                            float(graph.node_lat[node]),
                        )
                        for node in np.intersect1d(nodes_a, nodes_b)[:1]
                    ]
                if len(found) >= limit:
                    return tuple(found[:limit])
        return tuple(found)

    def _street_nodes(self, words_of_one: str) -> dict[str, "np.typing.NDArray[np.int32]"]:
        words = tokens(words_of_one)
        if not words:
            return {}
        graph = self._graph
        matching = [
            (number, name)
            for number, name in enumerate(graph.streets)
            if name and all(any(own.startswith(word) for own in tokens(name)) for word in words)
        ]
        return {
            name: np.unique(graph.arc_tail[np.asarray(graph.arc_street) == number])
            for number, name in matching[:5]
        }


def _words_of(entry: Entry) -> set[str]:
    return {*tokens(entry.name), *tokens(entry.locality), *tokens(entry.aliases)}
