"""Connections to NATS and the making of its streams."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import nats
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import BadRequestError, NotFoundError

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

from safecity.bus.subjects import DURABLES, PROBE, STREAM_SUBJECTS, Durable, Stream
from safecity.errors import Configuration, Unavailable

log = structlog.get_logger()

ACK_WAIT_S = 30.0
CHANGES_KEPT_S = 24 * 3600.0
DEAD_KEPT_S = 30 * 24 * 3600.0
DUPLICATE_WINDOW_S = 120.0


class Bus:
    """One connection to NATS with its JetStream context."""

    def __init__(self, client: Client) -> None:
        """Wrap a connected client."""
        self.client = client
        self.js: JetStreamContext = client.jetstream(publish_async_max_pending=4000, timeout=10)

    async def close(self) -> None:
        """Send what is queued and close."""
        if not self.client.is_closed:
            try:
                await asyncio.wait_for(self.client.drain(), timeout=3)
            except Exception:
                await self.client.close()

    async def serve(self, subject: str, answer: Callable[[bytes], Awaitable[bytes]]) -> Subscription:
        """Answer every request on `subject` with what `answer` returns; several servers share the work.

        Returns the subscription, to end it before the connection ends.
        """

        async def on_request(message: Msg) -> None:
            try:
                await message.respond(await answer(message.data))
            except Exception:
                log.exception("request failed", subject=subject)

        return await self.client.subscribe(subject, queue=subject.replace(".", "-"), cb=on_request)

    async def request(self, subject: str, data: bytes, timeout_s: float) -> bytes:
        """Return the answer to a request.

        Raises Unavailable when no role answers within `timeout_s`.
        """
        try:
            reply = await self.client.request(subject, data, timeout=timeout_s)
        except (nats.errors.TimeoutError, nats.errors.NoRespondersError, TimeoutError) as error:
            raise Unavailable(f"no role answers '{subject}' now; it restarts by itself, try again") from error
        return reply.data


async def connect(url: str, name: str, *, inbox: str = "_INBOX", patience_s: float = 30.0) -> Bus:
    """Return a connected bus; keeps trying for `patience_s`, and for ever once it was connected.

    inbox: prefix of the subjects on which answers come; a login may be allowed its own only.

    Raises Unavailable when the server cannot be reached in that time.
    """

    async def on_error(error: Exception) -> None:
        log.warning("bus error", name=name, error=repr(error))

    deadline = asyncio.get_running_loop().time() + patience_s
    while True:
        try:
            client = await nats.connect(
                url,
                name=name,
                error_cb=on_error,
                inbox_prefix=inbox,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.2,
                connect_timeout=5,
                ping_interval=10,
                pending_size=64 * 1024 * 1024,
            )
        except (OSError, TimeoutError, nats.errors.Error) as error:
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(
                    "NATS does not answer; is it running, and are address and login right?"
                ) from error
            await asyncio.sleep(0.2)
        else:
            return Bus(client)


async def ensure_streams(bus: Bus, max_stream_mb: int, replicas: int = 1) -> None:
    """Create or update every stream and durable consumer of `subjects`.

    Telemetry, events and alarms keep a message until each of their consumers has acknowledged it, and refuse
    senders (never drop) when `max_stream_mb` is reached.
    """
    for stream, subject in STREAM_SUBJECTS.items():
        await _ensure_stream(bus.js, _stream_config(stream, subject, max_stream_mb, replicas))
    for durable in DURABLES:
        await _ensure_durable(bus.js, durable)


async def limit_mqtt_stream(bus: Bus, max_stream_mb: int) -> None:
    """Give the broker's own stream a limit too: full, it refuses devices and never drops."""
    info = await bus.js.stream_info(Stream.MQTT.value)
    limited = info.config.evolve(max_bytes=max_stream_mb * 1_000_000, discard=DiscardPolicy.NEW)
    if limited != info.config:
        await bus.js.update_stream(limited)


async def can_store(bus: Bus, timeout_s: float = 3.0) -> bool:
    """Return whether JetStream takes a message and has it on disk."""
    try:
        await bus.js.publish(PROBE, b"", timeout=timeout_s)
    except Exception:
        return False
    return True


def _stream_config(stream: Stream, subject: str, max_stream_mb: int, replicas: int) -> StreamConfig:
    log_like = stream in (Stream.CHANGES, Stream.DEAD, Stream.PROBE)
    return StreamConfig(
        name=stream.value,
        subjects=[subject],
        retention=RetentionPolicy.LIMITS if log_like else RetentionPolicy.INTEREST,
        discard=DiscardPolicy.OLD if log_like else DiscardPolicy.NEW,
        max_bytes=max_stream_mb * 1_000_000,
        max_msgs=1 if stream is Stream.PROBE else -1,
        max_age=CHANGES_KEPT_S if stream is Stream.CHANGES else DEAD_KEPT_S if stream is Stream.DEAD else 0,
        storage=StorageType.FILE,
        duplicate_window=DUPLICATE_WINDOW_S,
        num_replicas=replicas,
    )


async def _ensure_stream(js: JetStreamContext, config: StreamConfig) -> None:
    try:
        await js.add_stream(config)
    except BadRequestError:
        try:
            await js.update_stream(config)
        except BadRequestError as error:
            raise Configuration(
                f"the stream {config.name} exists with settings that cannot be changed: {error.description}"
            ) from error


async def _ensure_durable(js: JetStreamContext, durable: Durable) -> None:
    config = ConsumerConfig(
        durable_name=durable.name,
        filter_subject=durable.subject,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_S,
        max_ack_pending=durable.max_pending,
        max_deliver=-1,
    )
    try:
        await js.add_consumer(durable.stream.value, config)
    except NotFoundError as error:
        raise Unavailable(
            f"the stream {durable.stream.value} does not exist yet; the MQTT listener must be on, and one "
            "MQTT client must have connected once"
        ) from error


def wake_mqtt(host: str, port: int, user: str, password: str) -> None:
    """Connect once as an MQTT client, so that the server makes its MQTT streams; blocks up to 10 s.

    Raises Unavailable when the MQTT listener does not let us in.
    """
    # Every process of the bus imports this file, and only the set-up speaks MQTT.
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    connected = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="safecity-setup")
    client.username_pw_set(user, password)

    def on_connect(_c: object, _u: object, _f: object, reason: "ReasonCode", _p: object) -> None:
        if not reason.is_failure:
            connected.set()

    client.on_connect = on_connect
    try:
        client.connect(host, port, keepalive=10)
        client.loop_start()
        if not connected.wait(10):
            raise Unavailable(f"the MQTT listener at port {port} did not accept our login")
    except OSError as error:
        raise Unavailable(f"the MQTT listener at port {port} cannot be reached: {error}") from error
    finally:
        client.disconnect()
        client.loop_stop()
