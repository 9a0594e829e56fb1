"""Which alarms stand in which incident, so that what outlives its incident is not forgotten."""

from collections.abc import Sequence

from safecity.fusion.finding import EpisodeKey
from safecity.model.incident import Incident


class Standing:
    """Alarms of open incidents with the rule states that they speak for."""

    def __init__(self) -> None:
        """Know none."""
        self._keys: dict[str, Sequence[EpisodeKey]] = {}
        self._incident: dict[str, str] = {}
        self._alarms: dict[str, set[str]] = {}
        self._latest: dict[EpisodeKey, str] = {}

    def raised(self, alarm_id: str, incident_id: str, keys: Sequence[EpisodeKey]) -> None:
        """Note an alarm and the incident proposed for it."""
        if not keys:
            return
        self._keys[alarm_id] = keys
        for key in keys:
            self._latest[key] = alarm_id
        self._place(alarm_id, incident_id)

    def learn(self, incident: Incident) -> None:
        """Note which of our alarms an open incident really holds."""
        for link in incident.links:
            if link.alarm_id in self._keys and self._incident.get(link.alarm_id) != incident.id:
                self._place(link.alarm_id, incident.id)

    def closed(self, incident_id: str) -> list[EpisodeKey]:
        """Forget an incident's alarms; return the rule states whose latest alarm was among them."""
        found: list[EpisodeKey] = []
        for alarm_id in sorted(self._alarms.pop(incident_id, ())):
            self._incident.pop(alarm_id, None)
            for key in self._keys.pop(alarm_id, ()):
                if self._latest.get(key) == alarm_id:
                    del self._latest[key]
                    found.append(key)
        return found

    def _place(self, alarm_id: str, incident_id: str) -> None:
        before = self._incident.get(alarm_id)
        if before is not None:
            self._alarms.get(before, set()).discard(alarm_id)
        self._incident[alarm_id] = incident_id
        self._alarms.setdefault(incident_id, set()).add(alarm_id)
