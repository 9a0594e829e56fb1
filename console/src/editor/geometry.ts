/** Points on a picture: nearest, inside, arrows. Pictures are not square, so lengths are taken in pixels. */
import type { Point } from "../model/camera";

export interface Size {
  readonly width: number;
  readonly height: number;
}

export function clamp(point: Point): Point {
  const within = (value: number): number => Math.round(Math.min(1, Math.max(0, value)) * 10_000) / 10_000;
  return [within(point[0]), within(point[1])];
}

export function centre(points: readonly Point[]): Point {
  if (points.length === 0) return [0.5, 0.5];
  const sum = points.reduce(([x, y], point) => [x + point[0], y + point[1]] as const, [0, 0] as const);
  return [sum[0] / points.length, sum[1] / points.length];
}

/** Whether a point is inside a polygon (even-odd rule). */
export function isInside(point: Point, polygon: readonly Point[]): boolean {
  let inside = false;
  for (let at = 0, last = polygon.length - 1; at < polygon.length; last = at, at += 1) {
    const [ax, ay] = polygon[at] ?? [0, 0];
    const [bx, by] = polygon[last] ?? [0, 0];
    if (ay > point[1] !== by > point[1] && point[0] < ((bx - ax) * (point[1] - ay)) / (by - ay) + ax) {
      inside = !inside;
    }
  }
  return inside;
}

const side = (a: Point, b: Point, c: Point): number =>
  Math.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]));

function crosses(a: Point, b: Point, c: Point, d: Point): boolean {
  return side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0;
}

/** Whether the sides of a polygon cross each other, so that it is no area. */
export function isTwisted(polygon: readonly Point[]): boolean {
  const count = polygon.length;
  const corner = (at: number): Point => polygon[at % count] ?? [0, 0];
  for (let a = 0; a < count; a += 1) {
    for (let b = a + 2; b < count; b += 1) {
      const neighbours = a === 0 && b === count - 1;
      if (!neighbours && crosses(corner(a), corner(a + 1), corner(b), corner(b + 1))) return true;
    }
  }
  return false;
}

/** The middles of all sides of a closed polygon, where a corner can be put in. */
export function middles(polygon: readonly Point[]): Point[] {
  return polygon.map((point, at) => centre([point, polygon[(at + 1) % polygon.length] ?? point]));
}

/**
 * The way of a forward crossing for a line from `start` to `end`, as a unit vector in pixels: from the left hand
 * to the right hand of somebody who looks from start to end.
 */
export function forward(start: Point, end: Point, size: Size): Point {
  const dx = (end[0] - start[0]) * size.width;
  const dy = (end[1] - start[1]) * size.height;
  const length = Math.hypot(dx, dy) || 1;
  return [-dy / length || 0, dx / length || 0];
}

/** The unit vector in pixels of a heading: 0 up, clockwise. */
export function headingVector(heading_deg: number): Point {
  const angle = (heading_deg * Math.PI) / 180;
  return [Math.sin(angle), -Math.cos(angle)];
}

/** The heading from one point of the picture to another: whole degrees from 0 (up) clockwise to 359. */
export function headingTo(from: Point, to: Point, size: Size): number {
  const dx = (to[0] - from[0]) * size.width;
  const dy = (to[1] - from[1]) * size.height;
  return (Math.round((Math.atan2(dx, -dy) * 180) / Math.PI) + 360) % 360;
}

/** The head of an arrow that ends in (x, y) pixels with the direction (dx, dy), as a path. */
export function arrowHead([x, y]: Point, [dx, dy]: Point, length: number): string {
  const back: Point = [x - dx * length, y - dy * length];
  const wing = length * 0.55;
  return `M${x} ${y}L${back[0] - dy * wing} ${back[1] + dx * wing}L${back[0] + dy * wing} ${back[1] - dx * wing}z`;
}
