"""One device's MQTT 3.1.1 connection, driven by the event loop instead of a thread of its own."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from safecity.bus.engine import DeviceLogin
from safecity.errors import TooMany

KEEPALIVE_S: Final = 30
MAX_HELD: Final = 500
"""Readings that a device keeps until the broker has acknowledged them; more are refused."""
MAX_UNANSWERED: Final = 20


class _Socket(Protocol):
    def fileno(self) -> int: ...


class MqttDevice:
    """A device that publishes at QoS 1 and keeps what was not acknowledged over lost connections."""

    def __init__(self, host: str, port: int, login: DeviceLogin, on_acknowledged: Callable[[], None]) -> None:
        """Prepare the connection to the broker; `on_acknowledged` is called once for each PUBACK."""
        self.device_id = login.device_id
        self.connected = False
        self.connecting = False
        self.refusal = ""
        self._on_acknowledged = on_acknowledged
        self._loop = asyncio.get_running_loop()
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=login.device_id,
            clean_session=True,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        client.username_pw_set(login.device_id, login.password)
        client.max_queued_messages_set(MAX_HELD)
        client.max_inflight_messages_set(MAX_UNANSWERED)
        client.connect_async(host, port, KEEPALIVE_S)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_socket_open = self._on_socket_open
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_socket_register_write
        client.on_socket_unregister_write = self._on_socket_unregister_write
        self._client = client

    def connect(self) -> None:
        """Begin to connect; `connected` follows when the broker lets us in.

        Raises OSError when the broker's port is not open.
        """
        self.connecting = True
        try:
            self._client.reconnect()
        except OSError:
            self.connecting = False
            raise

    def publish(self, topic: str, payload: bytes) -> None:
        """Send `payload`, now or when the broker is back.

        Raises TooMany when too much waits already; the payload is then not taken.
        """
        info = self._client.publish(topic, payload, qos=1)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            raise TooMany(f"{self.device_id} holds {MAX_HELD} readings already; is the broker away?")

    def keep_alive(self) -> None:
        """Ping, or give the connection up when the broker is silent; call this every few seconds."""
        self._client.loop_misc()

    def close(self) -> None:
        """Say goodbye and close the connection."""
        self._client.disconnect()
        self._client.loop_misc()

    def _on_connect(self, _c: object, _u: object, _f: object, reason: ReasonCode, _p: object) -> None:
        self.connecting = False
        self.connected = not reason.is_failure
        self.refusal = str(reason) if reason.is_failure else ""

    def _on_disconnect(self, *_: object) -> None:
        self.connected = self.connecting = False

    def _on_publish(self, *_: object) -> None:
        self._on_acknowledged()

    def _on_socket_open(self, _c: object, _u: object, sock: _Socket) -> None:
        self._loop.add_reader(sock.fileno(), self._client.loop_read)

    def _on_socket_close(self, _c: object, _u: object, sock: _Socket) -> None:
        self._loop.remove_reader(sock.fileno())
        self._loop.remove_writer(sock.fileno())

    def _on_socket_register_write(self, _c: object, _u: object, sock: _Socket) -> None:
        self._loop.add_writer(sock.fileno(), self._client.loop_write)

    def _on_socket_unregister_write(self, _c: object, _u: object, sock: _Socket) -> None:
        self._loop.remove_writer(sock.fileno())
