"""The own events of all cameras of a shard that have an ONVIF address: subscribed, told, given up again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

from safecity.clock import Clock
from safecity.errors import SafeCityError
from safecity.model.observation import Observation
from safecity.video.camera import CameraConfig
from safecity.video.onvif.events import CameraEvent
from safecity.video.onvif.subscription import EventSubscription, camera_event_observation

log = structlog.get_logger()

QUEUE_LIMIT: Final = 1000
"""Events that wait for the bus at most; then new ones are counted as dropped."""

Publish = Callable[[Observation], Awaitable[None]]
Subscribe = Callable[[CameraConfig, Clock], EventSubscription]


def subscription_of(config: CameraConfig, clock: Clock) -> EventSubscription:
    """Return the subscription to a camera's own events."""
    return EventSubscription(config.setup.onvif_url, config.user, config.password, clock, camera_id=config.id)


class Hearing:
    """Keeps one subscription for each camera that has an ONVIF address. Used in one event loop."""

    def __init__(self, publish: Publish, clock: Clock, subscribe: Subscribe = subscription_of) -> None:
        """Hear nothing yet. publish: takes each event as an observation."""
        self._publish = publish
        self._clock = clock
        self._subscribe = subscribe
        self._heard: dict[str, tuple[CameraConfig, asyncio.Task[None]]] = {}
        self._queue: asyncio.Queue[Observation] = asyncio.Queue(QUEUE_LIMIT)
        self._telling: asyncio.Task[None] | None = None
        self.told = 0
        self.dropped = 0

    async def apply(self, configs: Iterable[CameraConfig]) -> None:
        """Hear these cameras and no others; what has not changed is left alone."""
        wanted = {config.id: config for config in configs if config.setup.enabled and config.setup.onvif_url}
        ended = [
            self._heard.pop(camera_id)[1]
            for camera_id, (config, _) in list(self._heard.items())
            if camera_id not in wanted or not _is_same(config, wanted[camera_id])
        ]
        await _end(ended)
        for camera_id in wanted.keys() - self._heard.keys():
            config = wanted[camera_id]
            self._heard[camera_id] = (config, asyncio.create_task(self._hear(config)))
        if self._telling is None and self._heard:
            self._telling = asyncio.create_task(self._tell())

    async def stop(self) -> None:
        """Give all subscriptions back."""
        tasks = [task for _, task in self._heard.values()]
        self._heard.clear()
        if self._telling is not None:
            tasks.append(self._telling)
            self._telling = None
        await _end(tasks)

    def counters(self) -> dict[str, float]:
        """Return how many cameras are heard, and what they said."""
        return {
            "cameras_heard": float(len(self._heard)),
            "camera_events_total": float(self.told),
            "camera_events_dropped_total": float(self.dropped),
        }

    async def _hear(self, config: CameraConfig) -> None:
        def on_event(event: CameraEvent) -> None:
            try:
                self._queue.put_nowait(camera_event_observation(event, config.setup, self._clock))
            except asyncio.QueueFull:
                self.dropped += 1

        try:
            await self._subscribe(config, self._clock).run(on_event)
        except Exception:
            # One camera's strange answer must not end recording, nor the other cameras' events.
            log.exception("a camera's own events are no longer heard: our own code failed", camera=config.id)

    async def _tell(self) -> None:
        while True:
            observation = await self._queue.get()
            try:
                await self._publish(observation)
                self.told += 1
            except (SafeCityError, OSError) as error:
                self.dropped += 1
                log.warning("a camera's own event could not be told", reason=str(error))


def _is_same(one: CameraConfig, other: CameraConfig) -> bool:
    """Return whether nothing changed that matters to what a camera says and where."""
    return (one.setup.onvif_url, one.user, one.password, one.setup.place) == (
        other.setup.onvif_url,
        other.user,
        other.password,
        other.setup.place,
    )


async def _end(tasks: list["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
