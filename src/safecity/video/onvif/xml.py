"""XML from devices: a tree without namespaces, and nothing else that XML can do.

Document type declarations, and with them all entities, are refused; size, depth and number of elements are
limited. Makers mix namespaces up, so elements and attributes are known by their local names alone.
"""

from collections.abc import Iterator
from typing import Final
from xml.parsers import expat

import msgspec

from safecity.errors import Invalid

MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 60
MAX_ELEMENTS: Final = 20_000


class Element(msgspec.Struct):
    """An element: its local name, attributes by local name, text without blanks at its ends, children."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list["Element"] = msgspec.field(default_factory=list)
    source: str = ""

    def find(self, *path: str) -> "Element | None":
        """Return the first descendant whose way down has the names in `path`, each among the children."""
        found: Element | None = self
        for name in path:
            found = next((child for child in found.children if child.name == name), None) if found else None
        return found

    def all(self, name: str) -> Iterator["Element"]:
        """Yield all descendants with this name, in the order of the document."""
        for child in self.children:
            if child.name == name:
                yield child
            yield from child.all(name)

    def first(self, name: str) -> "Element | None":
        """Return the first descendant with this name."""
        return next(self.all(name), None)

    def said(self, *path: str) -> str:
        """Return the text at `path`, empty when there is none."""
        found = self.find(*path)
        return found.text if found else ""


class _Builder:
    """Builds the tree while expat reads."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH:
            raise Invalid("the device's answer has too many or too deep elements")
        namespace, _, local = name.rpartition(" ")
        element = Element(local, {_local(key): value for key, value in attributes.items()}, source=namespace)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        self._texts.append([])

    def end(self, _name: str) -> None:
        self._open.pop().text = "".join(self._texts.pop()).strip()

    def data(self, text: str) -> None:
        if self._texts:
            self._texts[-1].append(text)


def parse(data: bytes) -> Element:
    """Return the root of an XML document. Raises Invalid when it is none, or uses what is refused."""
    if len(data) > MAX_BYTES:
        raise Invalid("the device's answer is larger than a megabyte")
    builder = _Builder()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, UnicodeError, ValueError, LookupError) as error:
        raise Invalid("the device's answer is not XML") from error
    if builder.root is None:
        raise Invalid("the device's answer is empty")
    return builder.root


def _refuse(*_: object) -> None:
    raise Invalid("the device's answer declares a document type or entities, which no camera needs")


def _local(name: str) -> str:
    return name.rpartition(" ")[2]
