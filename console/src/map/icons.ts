/**
 * Icons drawn when the map first asks for them. An image's name is its recipe:
 * "dark/incident/1/gas/new", "dark/unit/fire/bound/full", "dark/camera/60/live", "dark/station/fire".
 */
import type { Agency, IncidentType, Priority } from "../model/types";
import { MAP_COLOURS, type MapColours, type Theme } from "./colours";
import { AGENCY_GLYPHS, CAMERA_GLYPH, type Glyph, SHAPES, TYPE_GLYPHS } from "./shapes";

const SCALE = 2;

export interface Icon {
  readonly image: ImageData;
  readonly pixelRatio: number;
}

type Pen = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

/** Draw the icon that `name` describes; undefined when the name is not a recipe. */
export function drawIcon(name: string): Icon | undefined {
  const [theme = "", kind = "", ...rest] = name.split("/");
  const colours = MAP_COLOURS[theme as Theme];
  const recipe = RECIPES[kind];
  if (!colours || !recipe) return undefined;
  const { size, draw } = recipe;
  const canvas = new OffscreenCanvas(size * SCALE, size * SCALE);
  const pen = canvas.getContext("2d");
  if (!pen) return undefined;
  pen.scale(SCALE, SCALE);
  pen.lineJoin = "round";
  pen.lineCap = "round";
  draw(pen, colours, rest);
  return { image: pen.getImageData(0, 0, canvas.width, canvas.height), pixelRatio: SCALE };
}

interface Recipe {
  readonly size: number;
  readonly draw: (pen: Pen, colours: MapColours, parts: readonly string[]) => void;
}

const RECIPES: Readonly<Record<string, Recipe>> = {
  incident: { size: 40, draw: drawIncident },
  unit: { size: 26, draw: drawUnit },
  camera: { size: 76, draw: drawCamera },
  station: { size: 18, draw: drawStation },
};

function drawGlyph(pen: Pen, glyph: Glyph, x: number, y: number, size: number, colour: string): void {
  pen.save();
  pen.translate(x - size / 2, y - size / 2);
  pen.scale(size / 24, size / 24);
  pen.fillStyle = colour;
  pen.strokeStyle = colour;
  pen.lineWidth = 2.6;
  if (glyph.fill) pen.fill(new Path2D(glyph.fill), "evenodd");
  if (glyph.line) pen.stroke(new Path2D(glyph.line));
  pen.restore();
}

function drawIncident(pen: Pen, colours: MapColours, [priority, type, state]: readonly string[]): void {
  const level = Number(priority) as Priority;
  const shape = SHAPES[level];
  const path = new Path2D(shape.path);
  const solid = state === "new";
  pen.translate(3, 3);
  pen.scale(0.85, 0.85);
  pen.lineWidth = 5;
  pen.strokeStyle = colours.ground;
  pen.stroke(path);
  pen.fillStyle = solid ? colours.priority[level] : colours.panel;
  pen.fill(path);
  pen.lineWidth = 2.5;
  pen.strokeStyle = solid ? colours.priority[level] : colours.edge[level];
  pen.stroke(path);
  const { x, y, size } = shape.glyph;
  const glyph = TYPE_GLYPHS[type as IncidentType] ?? TYPE_GLYPHS.other;
  drawGlyph(pen, glyph, x, y, size, solid ? colours.onPriority[level] : colours.edge[level]);
}

/** free: grey outline; bound: blue; scene: blue and filled; off: dim. "outline" is a fix older than 60 s. */
function drawUnit(pen: Pen, colours: MapColours, [agency, work, body]: readonly string[]): void {
  const busy = work === "bound" || work === "scene";
  const colour = busy ? colours.bound : work === "off" ? colours.normalDim : colours.normal;
  const filled = work === "scene" && body === "full";
  pen.beginPath();
  pen.roundRect(3, 3, 20, 20, 5);
  if (body === "full") {
    pen.fillStyle = filled ? colours.bound : colours.panel;
    pen.fill();
  } else {
    pen.setLineDash([3, 3]);
  }
  pen.lineWidth = busy ? 2.2 : 1.6;
  pen.strokeStyle = colour;
  pen.stroke();
  pen.setLineDash([]);
  drawGlyph(pen, AGENCY_GLYPHS[agency as Agency], 13, 13, 13, filled ? colours.ground : colour);
}

function drawCamera(pen: Pen, colours: MapColours, [view, state]: readonly string[]): void {
  const lost = state !== "live";
  const half = (Number(view) / 2) * (Math.PI / 180);
  const wedge = pen.createRadialGradient(38, 38, 4, 38, 38, 36);
  wedge.addColorStop(0, `${colours.normal}66`);
  wedge.addColorStop(1, `${colours.normal}00`);
  if (!lost) {
    pen.beginPath();
    pen.moveTo(38, 38);
    pen.arc(38, 38, 36, -Math.PI / 2 - half, -Math.PI / 2 + half);
    pen.closePath();
    pen.fillStyle = wedge;
    pen.fill();
  }
  pen.beginPath();
  pen.arc(38, 38, 6.5, 0, 2 * Math.PI);
  pen.fillStyle = colours.panel;
  pen.fill();
  pen.lineWidth = 1.8;
  pen.strokeStyle = lost ? colours.priority[2] : colours.normal;
  pen.stroke();
  pen.beginPath();
  pen.arc(38, 38, 2.2, 0, 2 * Math.PI);
  pen.fillStyle = pen.strokeStyle;
  pen.fill();
}

function drawStation(pen: Pen, colours: MapColours, [agency]: readonly string[]): void {
  pen.beginPath();
  pen.moveTo(9, 1.5);
  pen.lineTo(16.5, 7);
  pen.lineTo(16.5, 16.5);
  pen.lineTo(1.5, 16.5);
  pen.lineTo(1.5, 7);
  pen.closePath();
  pen.fillStyle = colours.panel;
  pen.fill();
  pen.lineWidth = 1;
  pen.strokeStyle = colours.normalDim;
  pen.stroke();
  drawGlyph(pen, AGENCY_GLYPHS[agency as Agency] ?? CAMERA_GLYPH, 9, 11, 8, colours.normalDim);
}
