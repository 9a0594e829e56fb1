/** The map of the city: basemap, what happens on it, and what was clicked. Knows nothing of the views. */

import type { Feature, FeatureCollection } from "geojson";
import {
  addProtocol,
  type GeoJSONSource,
  type Map as LibreMap,
  Map as MapLibre,
  Marker,
  type StyleSpecification,
  setWorkerUrl,
} from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";
import { Protocol } from "pmtiles";
import type { City, Incident, Place } from "../model/types";
import type { State } from "../store/store";
import type { Language } from "../words/language";
import { BASEMAP, basemapLayers } from "./basemap";
import { circle } from "./circle";
import { MAP_COLOURS, type Theme } from "./colours";
import {
  cameraFeatures,
  collection,
  incidentFeatures,
  pickFeature,
  sensorFeatures,
  stationFeatures,
  unitFeatures,
  wayFeatures,
} from "./features";
import { fontFaces } from "./fonts";
import { drawIcon } from "./icons";
import { Motion } from "./motion";
import { OVERLAYS, type Overlay, overlayLayers, SWITCHES, type Switch } from "./overlay";

/** A city's built-up part fills the map at this zoom. */
const CITY_ZOOM = 12.9;

setWorkerUrl(workerUrl);
addProtocol("pmtiles", new Protocol().tile);

/** Units are drawn again when one moved this far on the screen, and now and then for the age of their fixes. */
const STEP_PX = 0.6;
const REST_MS = 5_000;
/** Drawing takes at most every fourth frame, so that a slow machine keeps time for its operator. */
const FRAMES_EACH = 4;
const FRAME_LEAST_MS = 16;
const FRAME_MOST_MS = 500;

export interface Scene {
  readonly state: State;
  readonly selected: string;
  /** Units that a dispatch would send: their ways are previewed. */
  readonly previewed: readonly string[];
  readonly picked: Place | null;
  /** Further places with their labels, such as the points of a calibration. */
  readonly marks?: readonly Place[];
  /** What a camera that is being set up would see. */
  readonly sight?: Feature | null;
  /** Server time minus this machine's clock. */
  readonly offset_ms: number;
}

export interface MapEvents {
  readonly onIncident: (id: string) => void;
  readonly onUnit: (id: string) => void;
  readonly onCamera: (id: string) => void;
  readonly onPlace: (lon: number, lat: number) => void;
  readonly onIdle: () => void;
  readonly onBasemapMissing: () => void;
}

export interface MapOptions {
  readonly container: HTMLElement;
  readonly city: City;
  readonly theme: Theme;
  readonly language: Language;
  readonly locale: Readonly<Record<string, string>>;
  readonly events: MapEvents;
}

export class CityMap {
  readonly #map: LibreMap;
  readonly #events: MapEvents;
  readonly #motion = new Motion();
  readonly #flashing = new Map<string, Marker>();
  readonly #hidden = new Set<Switch>(["sensors"]);
  #theme: Theme;
  #language: Language;
  #scene: Scene | null = null;
  #loaded = false;
  #picking = false;
  #frame = 0;
  #drawn_ms = 0;
  #last_ms = 0;
  #frame_ms = FRAME_LEAST_MS;
  #drawnAt = new Map<string, readonly [number, number]>();

  constructor(options: MapOptions) {
    this.#theme = options.theme;
    this.#language = options.language;
    this.#events = options.events;
    const [west, south, east, north] = options.city.bbox;
    this.#map = new MapLibre({
      container: options.container,
      style: this.#style(),
      center: [...options.city.center],
      zoom: CITY_ZOOM,
      minZoom: 8,
      maxZoom: 19,
      maxBounds: [west - 0.4, south - 0.3, east + 0.4, north + 0.3],
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      fadeDuration: 0,
      locale: { ...options.locale },
    });
    this.#map.touchZoomRotate.disableRotation();
    this.#map.setMissingStyleImageResolver((id) => {
      const icon = drawIcon(id);
      if (icon && !this.#map.hasImage(id))
        this.#map.addImage(id, icon.image, { pixelRatio: icon.pixelRatio });
    });
    this.#listen();
    this.#animate(0);
  }

  get hidden(): ReadonlySet<Switch> {
    return this.#hidden;
  }

  /** Show a new moment. */
  show(scene: Scene): void {
    const before = this.#scene;
    this.#scene = scene;
    this.#motion.take(scene.state.fixes, performance.now());
    if (!this.#loaded) return;
    const { state } = scene;
    if (before?.state.incident !== state.incident || before.selected !== scene.selected)
      this.#showIncidents();
    if (before?.state.camera !== state.camera) this.#set("cameras", cameraFeatures(state, this.#theme));
    if (before?.state.source !== state.source) this.#set("sensors", sensorFeatures(state));
    if (before?.state.station !== state.station) this.#set("stations", stationFeatures(state, this.#theme));
    const pickChanged =
      before?.picked !== scene.picked || before?.marks !== scene.marks || before?.sight !== scene.sight;
    if (pickChanged) this.#showPick();
    const changed =
      before?.state.unit !== state.unit ||
      before.state.assignment !== state.assignment ||
      before.previewed !== scene.previewed ||
      before.selected !== scene.selected;
    if (changed) this.#drawUnits(performance.now());
  }

  look(theme: Theme, language: Language): void {
    if (theme === this.#theme && language === this.#language) return;
    this.#theme = theme;
    this.#language = language;
    this.#loaded = false;
    this.#map.setStyle(this.#style(), { diff: false });
  }

  toggle(name: Switch): void {
    if (!this.#hidden.delete(name)) this.#hidden.add(name);
    this.#applySwitches();
  }

  /** Bring a place into view without leaving the operator's zoom when it is near enough. */
  goTo(lon: number, lat: number, zoom = 15): void {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const target = { center: [lon, lat] as [number, number], zoom: Math.max(this.#map.getZoom(), zoom) };
    if (still) this.#map.jumpTo(target);
    else this.#map.easeTo({ ...target, duration: 450 });
  }

  zoomBy(steps: number): void {
    this.#map.easeTo({ zoom: this.#map.getZoom() + steps, duration: 180 });
  }

  wholeCity(city: City): void {
    this.#map.easeTo({ center: [...city.center], zoom: CITY_ZOOM, duration: 300 });
  }

  focus(): void {
    this.#map.getCanvas().focus();
  }

  resize(): void {
    this.#map.resize();
  }

  /** While picking, a click gives a place instead of choosing a thing. */
  picking(on: boolean): void {
    this.#picking = on;
    this.#map.getCanvas().style.cursor = on ? "crosshair" : "";
  }

  remove(): void {
    cancelAnimationFrame(this.#frame);
    for (const marker of this.#flashing.values()) marker.remove();
    this.#map.remove();
  }

  #style(): StyleSpecification {
    const colours = MAP_COLOURS[this.#theme];
    const sources: StyleSpecification["sources"] = {
      [BASEMAP]: { type: "vector", url: `pmtiles://${location.origin}/basemap/city.pmtiles` },
    };
    for (const name of OVERLAYS) sources[name] = { type: "geojson", data: collection([]) };
    return {
      version: 8,
      "font-faces": fontFaces(location.origin),
      sources,
      layers: [
        { id: "ground", type: "background", paint: { "background-color": colours.ground } },
        ...basemapLayers(colours, this.#language),
        ...overlayLayers(colours),
      ],
    } as StyleSpecification;
  }

  #listen(): void {
    const map = this.#map;
    map.on("style.load", () => {
      this.#loaded = true;
      this.#applySwitches();
      this.#showAll();
    });
    let ready = false;
    const tellReady = (): void => {
      if (!ready) this.#events.onIdle();
      ready = true;
    };
    map.on("render", () => {
      if (!ready && this.#loaded && map.isSourceLoaded(BASEMAP)) tellReady();
    });
    let told = false;
    map.on("error", (event) => {
      const source = (event as { sourceId?: string }).sourceId;
      if (source !== BASEMAP || told) return;
      told = true;
      this.#events.onBasemapMissing();
      tellReady();
    });
    map.on("click", (event) => {
      if (this.#picking) {
        this.#events.onPlace(event.lngLat.lng, event.lngLat.lat);
        return;
      }
      const { x, y } = event.point;
      const found = map.queryRenderedFeatures(
        [
          [x - 8, y - 8],
          [x + 8, y + 8],
        ],
        { layers: ["incidents", "units", "cameras"] },
      );
      const hit = (layer: string) => found.find((feature) => feature.layer.id === layer)?.properties.id;
      const [incident, unit, camera] = [hit("incidents"), hit("units"), hit("cameras")];
      if (incident) this.#events.onIncident(incident as string);
      else if (unit) this.#events.onUnit(unit as string);
      else if (camera) this.#events.onCamera(camera as string);
    });
    for (const layer of ["incidents", "units", "cameras"]) {
      map.on("mouseenter", layer, () => {
        if (!this.#picking) map.getCanvas().style.cursor = "pointer";
      });
      map.on("mouseleave", layer, () => {
        if (!this.#picking) map.getCanvas().style.cursor = "";
      });
    }
  }

  #set(name: Overlay, data: FeatureCollection): void {
    this.#map.getSource<GeoJSONSource>(name)?.setData(data);
  }

  #showAll(): void {
    const scene = this.#scene;
    if (!scene) return;
    this.#showIncidents();
    this.#set("cameras", cameraFeatures(scene.state, this.#theme));
    this.#set("sensors", sensorFeatures(scene.state));
    this.#set("stations", stationFeatures(scene.state, this.#theme));
    this.#showPick();
    this.#drawUnits(performance.now());
  }

  #showIncidents(): void {
    const scene = this.#scene;
    if (!scene) return;
    const open = scene.state.incident;
    this.#set("incidents", incidentFeatures(open.values(), this.#theme, scene.selected));
    for (const [id, marker] of this.#flashing) {
      const incident = open.get(id);
      if (incident && flashes(incident)) continue;
      marker.remove();
      this.#flashing.delete(id);
    }
    for (const incident of open.values()) {
      if (!flashes(incident) || this.#flashing.has(incident.id)) continue;
      const element = document.createElement("div");
      element.className = "map-flash";
      const { lon, lat } = incident.place;
      this.#flashing.set(incident.id, new Marker({ element }).setLngLat([lon, lat]).addTo(this.#map));
    }
  }

  #showPick(): void {
    const scene = this.#scene;
    const place = scene?.picked ?? null;
    const points = [...(place ? [place] : []), ...(scene?.marks ?? [])];
    this.#set("pick", collection(points.map(pickFeature)));
    const radius_m = place?.uncertainty_m ?? 0;
    const around = place && radius_m > 5 ? [circle(place.lon, place.lat, radius_m)] : [];
    this.#set("uncertainty", collection(scene?.sight ? [...around, scene.sight] : around));
  }

  #drawUnits(now_ms: number): void {
    const scene = this.#scene;
    if (!scene || !this.#loaded) return;
    this.#drawn_ms = now_ms;
    const where = (id: string) => this.#motion.position(id, now_ms);
    const server_ms = Date.now() + scene.offset_ms;
    this.#set("units", unitFeatures(scene.state, this.#theme, server_ms, where));
    const target = scene.state.incident.get(scene.selected)?.place ?? null;
    this.#set("ways", wayFeatures(scene.state, scene.previewed, target, where));
    this.#drawnAt = new Map();
    for (const id of scene.state.fixes.keys()) {
      const place = where(id);
      if (place) this.#drawnAt.set(id, place);
    }
  }

  /** Redraw only when somebody moved visibly: a quiet city costs no frames. */
  #animate(now_ms: number): void {
    this.#frame = requestAnimationFrame((time_ms) => this.#animate(time_ms));
    const took_ms = Math.min(FRAME_MOST_MS, Math.max(FRAME_LEAST_MS, now_ms - this.#last_ms));
    this.#frame_ms += (took_ms - this.#frame_ms) / 8;
    this.#last_ms = now_ms;
    const since_ms = now_ms - this.#drawn_ms;
    if (!this.#loaded || !this.#scene || since_ms < FRAMES_EACH * this.#frame_ms) return;
    if (since_ms >= REST_MS || this.#moved(now_ms)) this.#drawUnits(now_ms);
  }

  #moved(now_ms: number): boolean {
    const pxPerDegree = (512 * 2 ** this.#map.getZoom()) / 360;
    for (const [id, drawn] of this.#drawnAt) {
      const place = this.#motion.position(id, now_ms);
      if (!place) return true;
      const away = Math.hypot(place[0] - drawn[0], (place[1] - drawn[1]) * 1.6);
      if (away * pxPerDegree > STEP_PX) return true;
    }
    return false;
  }

  #applySwitches(): void {
    for (const [name, layers] of Object.entries(SWITCHES)) {
      const visibility = this.#hidden.has(name as Switch) ? "none" : "visible";
      for (const layer of layers) {
        if (this.#map.getLayer(layer)) this.#map.setLayoutProperty(layer, "visibility", visibility);
      }
    }
    const shown = !this.#hidden.has("incidents");
    for (const marker of this.#flashing.values()) marker.getElement().hidden = !shown;
  }
}

function flashes(incident: Incident): boolean {
  return incident.priority === 1 && incident.state === "new";
}
