"""An emergency call. A call is never an incident; many calls may belong to one."""

from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from safecity.model.base import Noun, Place
from safecity.model.incident import IncidentType


class CallState(StrEnum):
    """Where a call stands."""

    RINGING = "ringing"
    CLAIMED = "claimed"
    TAKEN = "taken"
    SUBMITTED = "submitted"
    ABANDONED = "abandoned"
    CLOSED = "closed"


class CallCommand(StrEnum):
    """What can be done to a call."""

    CLAIM = "claim"
    RELEASE = "release"
    TAKE = "take"
    SUBMIT = "submit"
    ABANDON = "abandon"
    CALL_BACK = "call_back"
    CLOSE = "close"


_S, _C = CallState, CallCommand

CALL_TRANSITIONS: Final = MappingProxyType(
    {
        (_S.RINGING, _C.CLAIM): _S.CLAIMED,
        (_S.RINGING, _C.TAKE): _S.TAKEN,
        (_S.RINGING, _C.ABANDON): _S.ABANDONED,
        (_S.CLAIMED, _C.TAKE): _S.TAKEN,
        (_S.CLAIMED, _C.RELEASE): _S.RINGING,
        (_S.CLAIMED, _C.ABANDON): _S.ABANDONED,
        (_S.TAKEN, _C.SUBMIT): _S.SUBMITTED,
        (_S.TAKEN, _C.CLOSE): _S.CLOSED,
        (_S.ABANDONED, _C.CALL_BACK): _S.TAKEN,
        (_S.ABANDONED, _C.CLOSE): _S.CLOSED,
    }
)
"""Every allowed (state, command); all others are refused."""


class Call(Noun, frozen=True):
    """One call on the emergency number.

    caller_place is what the network says and is never overwritten; place is what the call-taker found.
    caller_words are the caller's, notes the taker's: they are kept apart. caller_number is shown to the
    taker only while the call is worked on.
    """

    id: str
    state: CallState
    received_at: datetime
    line: str = "112"
    caller_number: str = ""
    language: str = ""
    caller_place: Place | None = None
    caller_words: str = ""
    claimed_by: str = ""
    claimed_at: datetime | None = None
    taken_at: datetime | None = None
    ended_at: datetime | None = None
    place: Place | None = None
    type: IncidentType | None = None
    notes: str = ""
    incident_id: str = ""
    close_reason: str = ""
    simulated: bool = False

    @property
    def is_open(self) -> bool:
        """Whether a person still has to do something with it."""
        return self.state not in (CallState.SUBMITTED, CallState.CLOSED)
