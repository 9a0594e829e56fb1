"""Hearing a camera's own events by a pull point (ONVIF Core Specification, section 9.2), without end.

The camera holds what happened until it is asked, and answers as soon as something happens. Each state is told
when it changes; what has not changed while the camera could not be reached is not told again.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from xml.sax.saxutils import escape, quoteattr

import msgspec
import structlog

from safecity.clock import Clock
from safecity.errors import Invalid, SafeCityError, Unavailable
from safecity.model.observation import Observation, ObservationKind
from safecity.model.video import CameraSetup
from safecity.video.onvif.description import find_services, synchronise
from safecity.video.onvif.events import CameraEvent, read_notification
from safecity.video.onvif.soap import EVENTS, NOTIFICATION, Soap
from safecity.video.onvif.xml import Element

log = structlog.get_logger()

LEASE_S: Final = 60
"""For so long a subscription is made; it is renewed at half time."""
PULL_S: Final = 10
"""For so long a camera may wait for something to happen before it answers."""
PULL_LIMIT: Final = 100
SLACK_S: Final = 10.0
BACKOFF_S: Final = (1.0, 60.0)
"""Shortest and longest pause before a camera is asked again."""
EMPTY_PAUSE_S: Final = 0.5
"""After an answer that came at once and empty: some cameras don't wait, and must not be asked without end."""
FAREWELL_S: Final = 2.0
MAX_STATES: Final = 1000
MAX_REFERENCE: Final = 10_000
"""Characters of a subscription's reference parameters."""

Listener = Callable[[CameraEvent], None]


class _Lease:
    """One subscription: its address, the headers that it wants back, and until when it is good."""

    def __init__(self, url: str, headers: str, renew_at_s: float) -> None:
        self.url = url
        self.headers = headers
        self.renew_at_s = renew_at_s


class EventSubscription:
    """The events of one camera. `run` never ends by itself."""

    def __init__(
        self,
        onvif_url: str,
        user: str,
        password: str,
        clock: Clock,
        *,
        camera_id: str = "",
        pull_s: int = PULL_S,
        lease_s: int = LEASE_S,
        backoff_s: tuple[float, float] = BACKOFF_S,
    ) -> None:
        """Prepare to hear the camera with the device service at `onvif_url`. camera_id: for the log."""
        self._url = onvif_url
        self._account = (user, password)
        self._clock = clock
        self._camera_id = camera_id
        self._pull_s = pull_s
        self._lease_s = lease_s
        self._backoff_s = backoff_s
        self._states: dict[tuple[str, str], bool] = {}
        self._last_at: datetime | None = None
        self.subscriptions = 0
        self.renewals = 0
        self.problem = ""

    async def run(self, on_event: Listener) -> None:
        """Call `on_event` for each change until cancelled; failures are followed by growing pauses."""
        pause_s = self._backoff_s[0]
        while True:
            before = self.subscriptions
            try:
                await self._listen(on_event)
            except SafeCityError as error:
                self._note(str(error))
                if isinstance(error, Invalid):
                    # A camera locks an account after some wrong passwords; it is not asked often.
                    pause_s = self._backoff_s[1]
            if self.subscriptions > before:
                pause_s = self._backoff_s[0]
            else:
                pause_s = min(2 * pause_s, self._backoff_s[1])
            await asyncio.sleep(pause_s)

    def _note(self, reason: str) -> None:
        if reason != self.problem:
            log.warning("a camera's own events are not heard", camera=self._camera_id, reason=reason)
        self.problem = reason

    async def _listen(self, on_event: Listener) -> None:
        async with Soap(self._url, *self._account, self._clock) as soap:
            await synchronise(soap)
            services = await find_services(soap)
            if EVENTS not in services:
                raise Unavailable("the camera tells no events by ONVIF")
            lease = await self._subscribe(soap, services[EVENTS])
            self.subscriptions += 1
            self.problem = ""
            try:
                while True:
                    await self._pull(soap, lease, on_event)
                    if self._clock.monotonic_s() >= lease.renew_at_s:
                        await self._renew(soap, lease)
            finally:
                await self._unsubscribe(soap, lease)

    async def _subscribe(self, soap: Soap, url: str) -> _Lease:
        answer = await soap.call(
            url,
            f'<CreatePullPointSubscription xmlns="{EVENTS}">'
            f"<InitialTerminationTime>PT{self._lease_s}S</InitialTerminationTime></CreatePullPointSubscription>",
            action=f"{EVENTS}/EventPortType/CreatePullPointSubscriptionRequest",
        )
        reference = answer.find("SubscriptionReference")
        address = reference.said("Address") if reference is not None else ""
        if reference is None or not address:
            raise Invalid("the camera's answer names no subscription")
        return _Lease(soap.here(address), _returned(reference), self._half_time_s())

    async def _pull(self, soap: Soap, lease: _Lease, on_event: Listener) -> None:
        begun_s = self._clock.monotonic_s()
        answer = await soap.call(
            lease.url,
            f'<PullMessages xmlns="{EVENTS}"><Timeout>PT{self._pull_s}S</Timeout>'
            f"<MessageLimit>{PULL_LIMIT}</MessageLimit></PullMessages>",
            action=f"{EVENTS}/PullPointSubscription/PullMessagesRequest",
            headers=lease.headers,
            answer_s=self._pull_s + SLACK_S,
        )
        messages = list(answer.all("NotificationMessage"))
        for message in messages:
            event = read_notification(message, self._clock.now(), soap.ahead)
            if event is not None and self._is_new(event):
                on_event(self._apart(event))
        if not messages and self._clock.monotonic_s() - begun_s < EMPTY_PAUSE_S:
            await asyncio.sleep(EMPTY_PAUSE_S)

    async def _renew(self, soap: Soap, lease: _Lease) -> None:
        await soap.call(
            lease.url,
            f'<Renew xmlns="{NOTIFICATION}"><TerminationTime>PT{self._lease_s}S</TerminationTime></Renew>',
            action="http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager/RenewRequest",
            headers=lease.headers,
        )
        self.renewals += 1
        lease.renew_at_s = self._half_time_s()

    async def _unsubscribe(self, soap: Soap, lease: _Lease) -> None:
        """Give the subscription back, as cameras have few; one that is gone already is no matter."""
        with contextlib.suppress(SafeCityError, TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await soap.call(
                    lease.url,
                    f'<Unsubscribe xmlns="{NOTIFICATION}"/>',
                    action="http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager/UnsubscribeRequest",
                    headers=lease.headers,
                )

    def _half_time_s(self) -> float:
        return self._clock.monotonic_s() + self._lease_s / 2

    def _is_new(self, event: CameraEvent) -> bool:
        """Return whether a state has changed; a state that is off when first heard of is no change."""
        key = (event.topic, event.source)
        if key not in self._states and len(self._states) >= MAX_STATES:
            return False
        before = self._states.get(key)
        self._states[key] = event.active
        return event.active != before if before is not None else event.active or not event.initial

    def _apart(self, event: CameraEvent) -> CameraEvent:
        """Return the event at a time of its own: the time is part of a fact's name."""
        at = event.at
        if self._last_at is not None and at <= self._last_at:
            at = self._last_at + timedelta(microseconds=1)
        self._last_at = at
        return msgspec.structs.replace(event, at=at)


def camera_event_observation(event: CameraEvent, setup: CameraSetup, clock: Clock) -> Observation:
    """Return a camera's own event as the bus knows it: value 1 when it begins, 0 when it ends."""
    return Observation(
        source_id=setup.id,
        kind=ObservationKind.DEVICE,
        event_time=event.at,
        receive_time=clock.now(),
        property="camera_event",
        value=float(event.active),
        lon=setup.place.lon,
        lat=setup.place.lat,
        detail={
            "kind": event.kind.value,
            "topic": event.topic,
            "source": event.source,
            "value": event.active,
            "initial": event.initial,
        },
    )


def _returned(reference: Element) -> str:
    """Return the reference parameters as headers: WS-Addressing, section 3.3, wants them in each message."""
    holder = reference.find("ReferenceParameters")
    if holder is None:
        return ""
    written = "".join(_written(child) for child in holder.children)
    if len(written) > MAX_REFERENCE:
        raise Invalid("the camera's subscription wants more repeated than is reasonable")
    return written


def _written(element: Element) -> str:
    name = element.name
    inside = escape(element.text) + "".join(_written(child) for child in element.children)
    return f"<{name} xmlns={quoteattr(element.source)}>{inside}</{name}>"
