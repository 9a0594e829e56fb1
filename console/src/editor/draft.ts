/** A camera's rules, masks and calibration while they are drawn: what is chosen, what changes, what is undone. */
import type { Calibration, CameraSetup, Mask, Point, VideoRule } from "../model/camera";
import { clamp } from "./geometry";
import { KINDS, kindOf, type RuleKind } from "./kinds";

export const CALIBRATION_POINTS = 4;
const CORNERS_LEAST = 3;
const CORNERS_MOST = 64;
const UNDO_MOST = 200;

export interface Drawing {
  readonly rules: readonly VideoRule[];
  readonly masks: readonly Mask[];
  readonly blur_persons: boolean;
  /** Points of the picture, and the same on the ground as far as they are known. */
  readonly picture: readonly Point[];
  readonly ground: readonly (Point | null)[];
}

export interface Choice {
  readonly part: "rule" | "mask" | "calibration";
  readonly index: number;
}

export function drawingOf(setup: CameraSetup): Drawing {
  return {
    rules: setup.rules ?? [],
    masks: setup.masks ?? [],
    blur_persons: setup.blur_persons ?? true,
    picture: setup.calibration?.picture ?? [],
    ground: setup.calibration?.ground ?? [],
  };
}

/** The calibration when all its points are known, else none. */
export function calibrationOf(drawing: Drawing): Calibration | null {
  const ground = drawing.ground.filter((point) => point !== null);
  const whole = drawing.picture.length === CALIBRATION_POINTS && ground.length === CALIBRATION_POINTS;
  return whole ? { picture: drawing.picture, ground } : null;
}

/** The setup with what was drawn. */
export function setupWith(setup: CameraSetup, drawing: Drawing): CameraSetup {
  const { rules, masks, blur_persons } = drawing;
  return { ...setup, rules, masks, blur_persons, calibration: calibrationOf(drawing) };
}

const asPoints = (value: unknown): readonly Point[] => (Array.isArray(value) ? (value as Point[]) : []);

/** The points of what is chosen, in their order. */
export function pointsOf(drawing: Drawing, choice: Choice): readonly Point[] {
  if (choice.part === "calibration") return drawing.picture;
  if (choice.part === "mask") return drawing.masks[choice.index]?.polygon ?? [];
  const rule = drawing.rules[choice.index];
  if (!rule) return [];
  if (kindOf(rule)?.shape === "line") return [rule.start as Point, rule.end as Point];
  return asPoints(rule.polygon);
}

/** Whether corners can be put in and taken out. */
export function isArea(drawing: Drawing, choice: Choice): boolean {
  if (choice.part === "calibration") return false;
  if (choice.part === "mask") return true;
  const rule = drawing.rules[choice.index];
  return rule !== undefined && kindOf(rule)?.shape === "polygon";
}

function replaced<T>(list: readonly T[], index: number, value: T): T[] {
  return list.map((one, at) => (at === index ? value : one));
}

export function withPoints(drawing: Drawing, choice: Choice, points: readonly Point[]): Drawing {
  const kept = points.map(clamp);
  if (choice.part === "calibration") return { ...drawing, picture: kept };
  if (choice.part === "mask") {
    const mask = drawing.masks[choice.index];
    if (!mask) return drawing;
    return { ...drawing, masks: replaced(drawing.masks, choice.index, { ...mask, polygon: kept }) };
  }
  const rule = drawing.rules[choice.index];
  if (!rule) return drawing;
  const [start, end] = kept;
  const drawn =
    kindOf(rule)?.shape === "line" ? { ...rule, start, end } : { ...rule, polygon: kept as readonly Point[] };
  return { ...drawing, rules: replaced(drawing.rules, choice.index, drawn) };
}

export function withPoint(drawing: Drawing, choice: Choice, at: number, point: Point): Drawing {
  return withPoints(drawing, choice, replaced(pointsOf(drawing, choice), at, point));
}

/** Put a corner in behind corner `at`. */
export function withCorner(drawing: Drawing, choice: Choice, at: number, point: Point): Drawing {
  const points = pointsOf(drawing, choice);
  if (!isArea(drawing, choice) || points.length >= CORNERS_MOST) return drawing;
  return withPoints(drawing, choice, [...points.slice(0, at + 1), point, ...points.slice(at + 1)]);
}

/** Take a corner out; an area keeps three. */
export function withoutCorner(drawing: Drawing, choice: Choice, at: number): Drawing {
  const points = pointsOf(drawing, choice);
  if (!isArea(drawing, choice) || points.length <= CORNERS_LEAST) return drawing;
  return withPoints(
    drawing,
    choice,
    points.filter((_, index) => index !== at),
  );
}

export function withField(drawing: Drawing, index: number, name: string, value: unknown): Drawing {
  const rule = drawing.rules[index];
  if (!rule) return drawing;
  return { ...drawing, rules: replaced(drawing.rules, index, { ...rule, [name]: value }) };
}

export function withName(drawing: Drawing, choice: Choice, name: string): Drawing {
  if (choice.part === "rule") return withField(drawing, choice.index, "name", name);
  const mask = drawing.masks[choice.index];
  return mask ? { ...drawing, masks: replaced(drawing.masks, choice.index, { ...mask, name }) } : drawing;
}

export function without(drawing: Drawing, choice: Choice): Drawing {
  const others = <T>(list: readonly T[]): T[] => list.filter((_, at) => at !== choice.index);
  if (choice.part === "rule") return { ...drawing, rules: others(drawing.rules) };
  if (choice.part === "mask") return { ...drawing, masks: others(drawing.masks) };
  return { ...drawing, picture: [], ground: [] };
}

/** A name that nothing has yet: "Zone", "Zone 2", ... */
export function freeName(drawing: Drawing, wanted: string): string {
  const taken = new Set([...drawing.rules, ...drawing.masks].map((one) => one.name));
  let name = wanted;
  for (let n = 2; taken.has(name); n += 1) name = `${wanted} ${n}`;
  return name;
}

/** Add a rule with its defaults; the points are where it was drawn. */
export function withRule(drawing: Drawing, kind: RuleKind, name: string, points: readonly Point[]): Drawing {
  const { shape, fields } = KINDS[kind];
  const kept = points.map(clamp);
  const place =
    shape === "polygon" ? { polygon: kept } : shape === "line" ? { start: kept[0], end: kept[1] } : {};
  // What has a default is left to the server's; a heading has none.
  const heading = fields.some((field) => field.name === "heading_deg") ? { heading_deg: 0 } : {};
  const rule: VideoRule = { kind, name: freeName(drawing, name), ...place, ...heading };
  return { ...drawing, rules: [...drawing.rules, rule] };
}

export function withMask(drawing: Drawing, name: string, points: readonly Point[]): Drawing {
  const mask: Mask = { name: freeName(drawing, name), polygon: points.map(clamp) };
  return { ...drawing, masks: [...drawing.masks, mask] };
}

/** Where a shape stands that was added by key: in the middle, to be moved from there. */
export function firstPoints(shape: "polygon" | "line"): readonly Point[] {
  if (shape === "line") {
    return [
      [0.3, 0.6],
      [0.7, 0.6],
    ];
  }
  return [
    [0.35, 0.4],
    [0.65, 0.4],
    [0.65, 0.8],
    [0.35, 0.8],
  ];
}

/** The four points that a calibration begins with. */
export function withCalibration(drawing: Drawing): Drawing {
  if (drawing.picture.length === CALIBRATION_POINTS) return drawing;
  return {
    ...drawing,
    picture: [
      [0.3, 0.5],
      [0.7, 0.5],
      [0.85, 0.9],
      [0.15, 0.9],
    ],
    ground: [null, null, null, null],
  };
}

export function withGround(drawing: Drawing, at: number, point: Point | null): Drawing {
  const ground = Array.from({ length: CALIBRATION_POINTS }, (_, index) => drawing.ground[index] ?? null);
  ground[at] = point;
  return { ...drawing, ground };
}

/** What was drawn, with everything that can be taken back. */
export class History {
  #past: Drawing[] = [];
  #future: Drawing[] = [];
  #merged = "";

  constructor(private first: Drawing) {}

  get now(): Drawing {
    return this.#past.at(-1) ?? this.first;
  }

  get mayUndo(): boolean {
    return this.#past.length > 0;
  }

  get mayRedo(): boolean {
    return this.#future.length > 0;
  }

  /** Take a change. Changes in a row with the same `merge` are one step: a drag is undone at once. */
  put(drawing: Drawing, merge = ""): void {
    if (drawing === this.now) return;
    const same = merge !== "" && merge === this.#merged && this.#past.length > 0;
    if (same) this.#past[this.#past.length - 1] = drawing;
    else this.#past.push(drawing);
    if (this.#past.length > UNDO_MOST) this.first = this.#past.shift() ?? this.first;
    this.#future = [];
    this.#merged = merge;
  }

  /** The drag is over: the next change is a step of its own. */
  settle(): void {
    this.#merged = "";
  }

  undo(): void {
    const last = this.#past.pop();
    if (last) this.#future.push(last);
    this.#merged = "";
  }

  redo(): void {
    const next = this.#future.pop();
    if (next) this.#past.push(next);
    this.#merged = "";
  }
}
