/** Style layers of what happens in the city, above the basemap. */
import type { ExpressionSpecification, FilterSpecification, LayerSpecification } from "maplibre-gl";
import type { MapColours } from "./colours";
import { SLOTS } from "./features";
import { LABEL_FONT } from "./fonts";

export const OVERLAYS = [
  "uncertainty",
  "stations",
  "sensors",
  "cameras",
  "ways",
  "units",
  "incidents",
  "pick",
] as const;
export type Overlay = (typeof OVERLAYS)[number];

/** What the operator can switch; each names the style layers it shows. */
export const SWITCHES = {
  incidents: ["incident-ring", "incidents", "incident-label"],
  units: ["ways", "units", "unit-label"],
  cameras: ["cameras", "camera-label"],
  sensors: ["sensors", "sensor-label"],
  stations: ["stations", "station-label"],
} as const satisfies Readonly<Record<string, readonly string[]>>;
export type Switch = keyof typeof SWITCHES;

const ICON_STEP_PX = 25;

/** How far the icon of a parked unit stands from its station, in steps of one icon: two rows of three. */
function slotOffset(step: number): ExpressionSpecification {
  const places = Array.from({ length: SLOTS }, (_, at) => [
    at + 1,
    ["literal", [((at % 3) + 0.9) * step, (Math.floor(at / 3) - 0.5) * step]],
  ]);
  return [
    "match",
    ["get", "slot"],
    ...places.flat(),
    ["literal", [0, 0]],
  ] as unknown as ExpressionSpecification;
}

export function overlayLayers(colours: MapColours): LayerSpecification[] {
  return [
    uncertainty(colours),
    ...stations(colours),
    ...sensors(colours),
    ...cameras(colours),
    ways(colours),
    ...units(colours),
    ...incidents(colours),
    ...pick(colours),
  ];
}

const halo = (colours: MapColours) => ({
  "text-halo-color": colours.halo,
  "text-halo-width": 1.6,
});

function caption(
  id: string,
  source: Overlay,
  colours: MapColours,
  more: { minzoom: number; size?: number; offset: number; filter?: FilterSpecification; colour?: string },
): LayerSpecification {
  return {
    id,
    type: "symbol",
    source,
    minzoom: more.minzoom,
    ...(more.filter ? { filter: more.filter } : {}),
    layout: {
      "text-field": ["get", "label"],
      "text-font": [LABEL_FONT],
      "text-size": more.size ?? 12,
      "text-anchor": "top",
      "text-offset": [0, more.offset],
      "text-optional": true,
    },
    paint: { "text-color": more.colour ?? colours.labelStrong, ...halo(colours) },
  };
}

function uncertainty(colours: MapColours): LayerSpecification {
  return {
    id: "uncertainty",
    type: "fill",
    source: "uncertainty",
    paint: { "fill-color": colours.bound, "fill-opacity": 0.12, "fill-outline-color": colours.bound },
  };
}

function stations(colours: MapColours): LayerSpecification[] {
  return [
    {
      id: "stations",
      type: "symbol",
      source: "stations",
      layout: { "icon-image": ["get", "icon"], "icon-allow-overlap": true, "icon-ignore-placement": true },
      paint: { "icon-opacity": 0.85 },
    },
    caption("station-label", "stations", colours, { minzoom: 14, offset: 0.9, colour: colours.label }),
  ];
}

function sensors(colours: MapColours): LayerSpecification[] {
  return [
    {
      id: "sensors",
      type: "circle",
      source: "sensors",
      minzoom: 12.5,
      paint: {
        "circle-radius": ["interpolate", ["linear"], ["zoom"], 12.5, 1.8, 16, 4],
        "circle-color": colours.panel,
        "circle-stroke-color": colours.normalDim,
        "circle-stroke-width": 1.4,
      },
    },
    caption("sensor-label", "sensors", colours, { minzoom: 15.5, offset: 0.6, colour: colours.label }),
  ];
}

function cameras(colours: MapColours): LayerSpecification[] {
  return [
    {
      id: "cameras",
      type: "symbol",
      source: "cameras",
      layout: {
        "icon-image": ["get", "icon"],
        "icon-rotate": ["get", "heading"],
        "icon-rotation-alignment": "map",
        "icon-allow-overlap": true,
        "icon-ignore-placement": true,
        "icon-size": ["interpolate", ["linear"], ["zoom"], 11, 0.6, 13, 0.85, 16, 1.25],
      },
    },
    caption("camera-label", "cameras", colours, { minzoom: 15, offset: 1, colour: colours.label }),
  ];
}

function ways(colours: MapColours): LayerSpecification {
  return {
    id: "ways",
    type: "line",
    source: "ways",
    layout: { "line-cap": "round" },
    paint: {
      "line-color": colours.bound,
      "line-width": 2.6,
      "line-dasharray": [0.4, 2],
      "line-opacity": ["case", ["get", "preview"], 0.95, 0.75],
    },
  };
}

function units(colours: MapColours): LayerSpecification[] {
  return [
    {
      id: "units",
      type: "symbol",
      source: "units",
      layout: {
        "icon-image": ["get", "icon"],
        "icon-allow-overlap": true,
        "icon-ignore-placement": true,
        "symbol-sort-key": ["get", "order"],
        "icon-offset": slotOffset(ICON_STEP_PX),
        "icon-size": ["interpolate", ["linear"], ["zoom"], 10.5, 0.7, 13, 0.95, 16, 1.1],
      },
      paint: { "icon-opacity": ["get", "opacity"] },
    },
    caption("unit-label", "units", colours, {
      minzoom: 12,
      offset: 0.95,
      size: 11.5,
      filter: ["any", ["get", "busy"], ["all", ["==", ["get", "slot"], 0], [">=", ["zoom"], 13.5]]],
    }),
  ];
}

function incidents(colours: MapColours): LayerSpecification[] {
  return [
    {
      id: "incident-ring",
      type: "circle",
      source: "incidents",
      filter: ["get", "selected"],
      paint: {
        "circle-radius": 25,
        "circle-color": colours.labelStrong,
        "circle-opacity": 0.08,
        "circle-stroke-color": colours.labelStrong,
        "circle-stroke-width": 1.6,
      },
    },
    {
      id: "incidents",
      type: "symbol",
      source: "incidents",
      layout: {
        "icon-image": ["get", "icon"],
        "icon-allow-overlap": true,
        "icon-ignore-placement": true,
        "symbol-sort-key": ["get", "order"],
        "icon-size": ["case", ["get", "selected"], 1, 0.85],
      },
    },
    caption("incident-label", "incidents", colours, { minzoom: 13.5, offset: 1.7 }),
  ];
}

function pick(colours: MapColours): LayerSpecification[] {
  return [
    {
      id: "pick",
      type: "circle",
      source: "pick",
      paint: {
        "circle-radius": 8,
        "circle-color": colours.bound,
        "circle-stroke-color": colours.halo,
        "circle-stroke-width": 3,
      },
    },
    caption("pick-label", "pick", colours, { minzoom: 8, offset: 1, size: 13 }),
  ];
}
