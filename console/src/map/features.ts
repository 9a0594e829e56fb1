/** The picture of a moment as GeoJSON for the map's sources. Pure, so that it can be tested without a map. */
import type { Feature, FeatureCollection, Point } from "geojson";
import type { Incident, Place, Unit } from "../model/types";
import type { State } from "../store/store";
import type { Theme } from "./colours";

export const FADE_FROM_MS = 15_000;
export const OUTLINE_FROM_MS = 60_000;
export const LIST_ONLY_FROM_MS = 300_000;

/** Places in the row at a station; further units share the last one. */
export const SLOTS = 6;
/** A free unit this near to its station stands there. */
const PARKED_M = 120;
const M_PER_DEGREE = 111_195;

export type Positions = (unit_id: string) => readonly [number, number] | undefined;

export function collection(features: Feature[]): FeatureCollection {
  return { type: "FeatureCollection", features };
}

function point(lon: number, lat: number, properties: Record<string, unknown>): Feature<Point> {
  return { type: "Feature", geometry: { type: "Point", coordinates: [lon, lat] }, properties };
}

/** A place that somebody chose, with its label. */
export function pickFeature(place: Place): Feature<Point> {
  return point(place.lon, place.lat, { label: place.text ?? "" });
}

/** Open incidents; the most urgent is drawn last, on top. */
export function incidentFeatures(
  incidents: Iterable<Incident>,
  theme: Theme,
  selected: string,
): FeatureCollection {
  return collection(
    Array.from(incidents, (incident) =>
      point(incident.place.lon, incident.place.lat, {
        id: incident.id,
        icon: `${theme}/incident/${incident.priority}/${incident.type}/${incident.state === "new" ? "new" : "seen"}`,
        order: (incident.id === selected ? 100 : 0) + 10 - incident.priority,
        selected: incident.id === selected,
        label: incident.number,
      }),
    ),
  );
}

/** How visible a unit is by the age of its fix; null when it is only in the list. */
export function fade(age_ms: number): { readonly opacity: number; readonly body: string } | null {
  if (age_ms >= LIST_ONLY_FROM_MS) return null;
  if (age_ms >= OUTLINE_FROM_MS) return { opacity: 0.75, body: "outline" };
  if (age_ms <= FADE_FROM_MS) return { opacity: 1, body: "full" };
  const share = (age_ms - FADE_FROM_MS) / (OUTLINE_FROM_MS - FADE_FROM_MS);
  return { opacity: Math.round((1 - 0.55 * share) * 20) / 20, body: "full" };
}

function work(unit: Unit): string {
  if (unit.state === "dispatched" || unit.state === "en_route") return "bound";
  if (unit.state === "on_scene") return "scene";
  return unit.state === "available" ? "free" : "off";
}

/** Whether a free unit stands at its station, where several share one place. */
function isParked(unit: Unit, lon: number, lat: number): boolean {
  if (unit.state !== "available") return false;
  const east_m = (lon - unit.home.lon) * M_PER_DEGREE * Math.cos((lat * Math.PI) / 180);
  return Math.hypot(east_m, (lat - unit.home.lat) * M_PER_DEGREE) < PARKED_M;
}

/** Units with a fix that is young enough. `now_ms` is the server's time. */
export function unitFeatures(
  state: State,
  theme: Theme,
  now_ms: number,
  where: Positions,
): FeatureCollection {
  const features: Feature[] = [];
  const parked = new Map<string, number>();
  for (const unit of state.unit.values()) {
    const fix = state.fixes.get(unit.id);
    const look = fix && fade(now_ms - fix.time_ms);
    if (!fix || !look || unit.state === "off_duty") continue;
    const [lon, lat] = where(unit.id) ?? [fix.lon, fix.lat];
    const busy = unit.state !== "available";
    // Those at a station stand side by side, in the order of their numbers.
    const slot = isParked(unit, lon, lat) ? (parked.get(unit.station_id) ?? 0) + 1 : 0;
    if (slot > 0) parked.set(unit.station_id, slot);
    features.push(
      point(lon, lat, {
        id: unit.id,
        icon: `${theme}/unit/${unit.agency}/${work(unit)}/${look.body}`,
        opacity: look.opacity,
        label: unit.call_sign,
        busy,
        slot: Math.min(slot, SLOTS),
        order: busy ? 1 : 0,
      }),
    );
  }
  return collection(features);
}

/** A line from each unit that is under way to its incident, and from previewed units to the selected one. */
export function wayFeatures(
  state: State,
  previewed: readonly string[],
  target: Place | null,
  where: Positions,
): FeatureCollection {
  const features: Feature[] = [];
  const add = (unit_id: string, place: Place, preview: boolean): void => {
    const fix = state.fixes.get(unit_id);
    const from = where(unit_id) ?? (fix ? [fix.lon, fix.lat] : undefined);
    if (!from) return;
    features.push({
      type: "Feature",
      geometry: { type: "LineString", coordinates: [[...from], [place.lon, place.lat]] },
      properties: { preview },
    });
  };
  for (const assignment of state.assignment.values()) {
    if (assignment.state !== "on_scene") add(assignment.unit_id, assignment.place, false);
  }
  if (target) for (const id of previewed) add(id, target, true);
  return collection(features);
}

/** Cameras, with their field of view rounded to 15 degrees so that few icons serve all. */
export function cameraFeatures(state: State, theme: Theme): FeatureCollection {
  return collection(
    Array.from(state.camera.values(), (camera) => {
      const view = Math.min(180, Math.max(15, Math.round(camera.field_of_view_deg / 15) * 15));
      return point(camera.place.lon, camera.place.lat, {
        id: camera.id,
        icon: `${theme}/camera/${view}/${camera.state === "live" ? "live" : "lost"}`,
        heading: camera.heading_deg,
        label: camera.name,
      });
    }),
  );
}

export function sensorFeatures(state: State): FeatureCollection {
  return collection(
    Array.from(state.source.values())
      .filter((source) => source.kind === "sensor")
      .map((source) => point(source.place.lon, source.place.lat, { id: source.id, label: source.name })),
  );
}

export function stationFeatures(state: State, theme: Theme): FeatureCollection {
  return collection(
    Array.from(state.station.values(), (station) =>
      point(station.place.lon, station.place.lat, {
        id: station.id,
        icon: `${theme}/station/${station.agency}`,
        label: station.name,
      }),
    ),
  );
}
