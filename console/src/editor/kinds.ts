/** What can be watched for, as it is drawn and set: the rules of model/video_rule.py with their defaults. */
import { OBJECT_CLASSES, type ObjectClass, type VideoRule } from "../model/camera";

export const RULE_KINDS = [
  "zone_intrusion",
  "line_crossing",
  "wrong_way",
  "stopped_vehicle",
  "congestion",
  "crowd",
  "object_left",
  "smoke_flame",
  "camera_health",
] as const;
export type RuleKind = (typeof RULE_KINDS)[number];

export const DIRECTIONS = ["both", "forward", "backward"] as const;
export type Direction = (typeof DIRECTIONS)[number];

interface NumberField {
  readonly type: "number";
  readonly name: string;
  readonly value: number;
  readonly least: number;
  readonly most: number;
  readonly step: number;
  readonly unit: string;
  /** Counts only where the camera is calibrated. */
  readonly calibrated?: boolean;
}

interface SwitchField {
  readonly type: "switch";
  readonly name: string;
  readonly value: boolean;
}

interface ClassesField {
  readonly type: "classes";
  readonly name: "classes";
  readonly value: readonly ObjectClass[];
}

interface DirectionField {
  readonly type: "direction";
  readonly name: "direction";
  readonly value: Direction;
}

export type Field = NumberField | SwitchField | ClassesField | DirectionField;

export interface KindOfRule {
  readonly shape: "polygon" | "line" | "none";
  readonly fields: readonly Field[];
}

const VEHICLES: readonly ObjectClass[] = ["car", "motorcycle", "bus", "truck"];

function number(
  name: string,
  value: number,
  [least, most, step]: readonly [number, number, number],
  unit: string,
  more: { calibrated?: boolean } = {},
): NumberField {
  return { type: "number", name, value, least, most, step, unit, ...more };
}

const classes = (...value: readonly ObjectClass[]): ClassesField => ({
  type: "classes",
  name: "classes",
  value,
});
const onOff = (name: string, value: boolean): SwitchField => ({ type: "switch", name, value });

const TIME: readonly [number, number, number] = [0, 3600, 0.1];
const SHARE: readonly [number, number, number] = [0, 1, 0.01];
const COOL_DOWN: readonly [number, number, number] = [0, 3600, 1];
const HEALTH_TIME: readonly [number, number, number] = [2, 600, 1];
const END_SHARE = number("end_share", 0.6, [0.1, 0.95, 0.05], "");

export const KINDS: Readonly<Record<RuleKind, KindOfRule>> = {
  zone_intrusion: {
    shape: "polygon",
    fields: [
      classes("person"),
      number("min_dwell_s", 0.8, TIME, "s"),
      number("min_travel", 0.03, SHARE, "h"),
      number("cool_down_s", 20, COOL_DOWN, "s"),
    ],
  },
  line_crossing: {
    shape: "line",
    fields: [
      { type: "direction", name: "direction", value: "both" },
      classes(...OBJECT_CLASSES),
      number("min_angle_deg", 20, [0, 80, 1], "°"),
      number("min_travel", 0.05, SHARE, "h"),
      number("cool_down_s", 10, COOL_DOWN, "s"),
    ],
  },
  wrong_way: {
    shape: "polygon",
    fields: [
      number("heading_deg", 0, [0, 359, 1], "°"),
      number("tolerance_deg", 110, [30, 170, 1], "°"),
      classes(...VEHICLES, "bicycle"),
      number("min_travel", 0.12, SHARE, "h"),
      number("cool_down_s", 20, COOL_DOWN, "s"),
    ],
  },
  stopped_vehicle: {
    shape: "polygon",
    fields: [number("min_still_s", 20, [1, 3600, 1], "s"), classes(...VEHICLES), onOff("must_arrive", true)],
  },
  congestion: {
    shape: "polygon",
    fields: [
      number("min_vehicles", 5, [2, 200, 1], ""),
      number("max_speed_mps", 2.8, [0, 30, 0.1], "m/s", { calibrated: true }),
      number("max_speed", 0.03, SHARE, "h/s"),
      number("min_queue_m", 0, [0, 1000, 1], "m", { calibrated: true }),
      number("min_duration_s", 20, TIME, "s"),
      END_SHARE,
      classes(...VEHICLES),
    ],
  },
  crowd: {
    shape: "polygon",
    fields: [
      number("min_persons", 10, [2, 500, 1], ""),
      number("min_per_m2", 0, [0, 10, 0.1], "1/m²", { calibrated: true }),
      number("rise_per_min", 0, [0, 500, 1], "1/min"),
      number("min_duration_s", 5, TIME, "s"),
      { ...END_SHARE, value: 0.7 },
    ],
  },
  object_left: {
    shape: "polygon",
    fields: [
      number("min_still_s", 30, [5, 3600, 1], "s"),
      number("min_size", 0.03, [0.01, 1, 0.01], "h"),
      number("max_size", 0.4, [0.01, 1, 0.01], "h"),
    ],
  },
  smoke_flame: {
    shape: "polygon",
    fields: [
      onOff("smoke", true),
      onOff("flame", true),
      number("min_duration_s", 4, [1, 600, 0.5], "s"),
      number("min_area", 0.002, [0.0005, 0.5, 0.0005], ""),
    ],
  },
  camera_health: {
    shape: "none",
    fields: [
      onOff("covered", true),
      number("covered_s", 8, HEALTH_TIME, "s"),
      onOff("moved", true),
      number("moved_s", 12, HEALTH_TIME, "s"),
      onOff("defocused", true),
      number("defocused_s", 12, HEALTH_TIME, "s"),
      onOff("frozen", true),
      number("frozen_s", 20, HEALTH_TIME, "s"),
    ],
  },
};

/** Fields whose meaning, and so whose words, are not those of other kinds with the same name. */
const ON_WIRE: Readonly<Record<string, string>> = { min_area: "min_size" };

export const wireName = (field: Field): string => ON_WIRE[field.name] ?? field.name;

export function isKnown(kind: string): kind is RuleKind {
  return (RULE_KINDS as readonly string[]).includes(kind);
}

export function kindOf(rule: VideoRule): KindOfRule | null {
  return isKnown(rule.kind) ? KINDS[rule.kind] : null;
}

/** What a field of a rule is: as set, or its default. */
export function fieldValue<F extends Field>(rule: VideoRule, field: F): F["value"] {
  const set = rule[wireName(field)];
  return (set === undefined ? field.value : set) as F["value"];
}

/** A number within a field's limits; null when it is none. */
export function limited(field: NumberField, value: number): number | null {
  if (!Number.isFinite(value)) return null;
  return Math.min(field.most, Math.max(field.least, value));
}
