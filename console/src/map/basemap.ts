/** Style layers of the basemap; the tile layers and attributes are those of docs/guide/city.md. */
import type { ExpressionSpecification, LayerSpecification } from "maplibre-gl";
import type { Language } from "../words/language";
import type { MapColours } from "./colours";
import { LABEL_FONT } from "./fonts";

export const BASEMAP = "basemap";

type Stops = readonly (readonly [zoom: number, value: number])[];

function byZoom(stops: Stops): ExpressionSpecification {
  return [
    "interpolate",
    ["exponential", 1.5],
    ["zoom"],
    ...stops.flat(),
  ] as unknown as ExpressionSpecification;
}

function nameIn(language: Language): ExpressionSpecification {
  return ["coalesce", ["get", `name:${language}`], ["get", "name"]];
}

const isClass = (...names: string[]): ExpressionSpecification => ["in", ["get", "class"], ["literal", names]];
const MAJOR = isClass("motorway", "trunk", "primary");
const MIDDLE = isClass("secondary", "tertiary");
const MINOR = isClass("minor", "pedestrian", "service");
const PATH = isClass("path", "track");

export function basemapLayers(colours: MapColours, language: Language): LayerSpecification[] {
  return [...ground(colours), ...ways(colours), ...labels(colours, language)];
}

function ground(colours: MapColours): LayerSpecification[] {
  const source = BASEMAP;
  return [
    {
      id: "green",
      type: "fill",
      source,
      "source-layer": "green",
      filter: ["!", ["in", ["get", "kind"], ["literal", ["farmland", "beach"]]]],
      paint: { "fill-color": colours.green },
    },
    {
      id: "water",
      type: "fill",
      source,
      "source-layer": "water",
      paint: { "fill-color": colours.water },
    },
    {
      id: "waterway",
      type: "line",
      source,
      "source-layer": "waterway",
      layout: { "line-cap": "round", "line-join": "round" },
      paint: {
        "line-color": colours.waterLine,
        "line-width": [
          "interpolate",
          ["exponential", 1.4],
          ["zoom"],
          10,
          ["match", ["get", "kind"], "river", 1.2, 0.4],
          17,
          ["match", ["get", "kind"], "river", 10, 4],
        ],
      },
    },
    {
      id: "buildings",
      type: "fill",
      source,
      "source-layer": "buildings",
      minzoom: 13,
      paint: {
        "fill-color": colours.building,
        "fill-outline-color": colours.buildingEdge,
        "fill-opacity": ["interpolate", ["linear"], ["zoom"], 13, 0.5, 14.5, 1],
      },
    },
  ];
}

function road(
  id: string,
  filter: ExpressionSpecification,
  colour: string,
  stops: Stops,
  more: { dash?: number[]; minzoom?: number } = {},
): LayerSpecification {
  return {
    id,
    type: "line",
    source: BASEMAP,
    "source-layer": "roads",
    filter,
    ...(more.minzoom === undefined ? {} : { minzoom: more.minzoom }),
    layout: { "line-cap": more.dash ? "butt" : "round", "line-join": "round" },
    paint: {
      "line-color": colour,
      "line-width": byZoom(stops),
      "line-opacity": ["case", ["==", ["get", "tunnel"], 1], 0.45, 1],
      ...(more.dash ? { "line-dasharray": more.dash } : {}),
    },
  };
}

const MINOR_WIDTH: Stops = [
  [11.5, 0.4],
  [13, 0.9],
  [15, 3.2],
  [18, 18],
];
const MIDDLE_WIDTH: Stops = [
  [9, 0.6],
  [12, 1.5],
  [14, 3.4],
  [18, 24],
];
const MAJOR_WIDTH: Stops = [
  [8, 0.9],
  [11, 2],
  [13, 4],
  [18, 28],
];

const wider = (stops: Stops): Stops => stops.map(([zoom, width]) => [zoom, width + 1.6] as const);

function ways(colours: MapColours): LayerSpecification[] {
  // An edge in the colour of the ground shows nothing and costs a pass over every road.
  const cased = colours.roadCase !== colours.ground;
  return [
    road(
      "paths",
      PATH,
      colours.path,
      [
        [13, 0.5],
        [15, 1],
        [18, 3],
      ],
      { dash: [2.5, 2], minzoom: 14 },
    ),
    ...(cased
      ? [
          road("minor-case", MINOR, colours.roadCase, wider(MINOR_WIDTH), { minzoom: 13.5 }),
          road("middle-case", MIDDLE, colours.roadCase, wider(MIDDLE_WIDTH), { minzoom: 12 }),
        ]
      : []),
    road("minor", MINOR, colours.roadMinor, MINOR_WIDTH),
    road("middle", MIDDLE, colours.roadMiddle, MIDDLE_WIDTH),
    ...(cased ? [road("major-case", MAJOR, colours.roadCase, wider(MAJOR_WIDTH))] : []),
    road("major", MAJOR, colours.roadMajor, MAJOR_WIDTH),
    {
      id: "rail",
      type: "line",
      source: BASEMAP,
      "source-layer": "rail",
      filter: ["!=", ["get", "kind"], "subway"],
      paint: {
        "line-color": colours.rail,
        "line-width": byZoom([
          [10, 0.7],
          [14, 1.4],
          [18, 3],
        ]),
        "line-dasharray": [4, 1.6],
      },
    },
  ];
}

function labels(colours: MapColours, language: Language): LayerSpecification[] {
  const halo = { "text-halo-color": colours.halo, "text-halo-width": 1.4, "text-halo-blur": 0.4 };
  const name = nameIn(language);
  const font = [LABEL_FONT];
  const roadLabel = (
    id: string,
    filter: ExpressionSpecification,
    minzoom: number,
    size: Stops,
  ): LayerSpecification => ({
    id,
    type: "symbol",
    source: BASEMAP,
    "source-layer": "roads",
    filter,
    minzoom,
    layout: {
      "symbol-placement": "line",
      "symbol-spacing": 420,
      "text-field": name,
      "text-font": font,
      "text-size": byZoom(size),
      "text-max-angle": 30,
      "text-padding": 6,
    },
    paint: { "text-color": colours.label, ...halo },
  });
  return [
    {
      id: "housenumbers",
      type: "symbol",
      source: BASEMAP,
      "source-layer": "housenumbers",
      minzoom: 17,
      layout: { "text-field": ["get", "number"], "text-font": font, "text-size": 11 },
      paint: { "text-color": colours.label, ...halo },
    },
    roadLabel("minor-label", MINOR, 14.6, [
      [14, 11],
      [18, 14],
    ]),
    roadLabel("middle-label", MIDDLE, 13.2, [
      [13, 11.5],
      [18, 15],
    ]),
    roadLabel("major-label", MAJOR, 12.2, [
      [12, 12],
      [18, 16],
    ]),
    {
      id: "water-label",
      type: "symbol",
      source: BASEMAP,
      "source-layer": "water",
      filter: ["has", "name"],
      minzoom: 11,
      layout: {
        "text-field": name,
        "text-font": font,
        "text-size": 12,
        "text-max-width": 7,
        "text-letter-spacing": 0.04,
        "text-padding": 30,
      },
      paint: { "text-color": colours.waterLabel, ...halo },
    },
    {
      id: "place-small",
      type: "symbol",
      source: BASEMAP,
      "source-layer": "places",
      filter: ["!", ["in", ["get", "kind"], ["literal", ["city", "town", "isolated_dwelling"]]]],
      minzoom: 11,
      maxzoom: 15.5,
      layout: {
        "text-field": name,
        "text-font": font,
        "text-size": byZoom([
          [11, 11],
          [15, 14],
        ]),
        "text-letter-spacing": 0.06,
        "text-max-width": 8,
        "text-padding": 8,
      },
      paint: { "text-color": colours.label, ...halo },
    },
    {
      id: "place-large",
      type: "symbol",
      source: BASEMAP,
      "source-layer": "places",
      filter: ["in", ["get", "kind"], ["literal", ["city", "town"]]],
      maxzoom: 12,
      layout: { "text-field": name, "text-font": font, "text-size": 17, "text-letter-spacing": 0.03 },
      paint: { "text-color": colours.labelStrong, ...halo },
    },
  ];
}
