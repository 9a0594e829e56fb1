import { describe, expect, it } from "vitest";
import { crossingArrows, headingArrow } from "../src/editor/arrows";
import * as draft from "../src/editor/draft";
import * as geometry from "../src/editor/geometry";
import { KINDS, RULE_KINDS } from "../src/editor/kinds";
import type { CameraSetup, Point } from "../src/model/camera";

const SQUARE: readonly Point[] = [
  [0.2, 0.2],
  [0.6, 0.2],
  [0.6, 0.6],
  [0.2, 0.6],
];
const SIZE = { width: 1600, height: 900 };
const SETUP: CameraSetup = {
  id: "cam-1",
  name: "One",
  place: { lon: 13.26, lat: 53.55 },
  url: "rtsp://camera/1",
  rules: [{ kind: "zone_intrusion", name: "Yard", polygon: SQUARE, from_tomorrow: 7 }],
};
const RULE = { part: "rule", index: 0 } as const;

describe("geometry on the picture", () => {
  it("knows inside from outside", () => {
    expect(geometry.isInside([0.4, 0.4], SQUARE)).toBe(true);
    expect(geometry.isInside([0.7, 0.4], SQUARE)).toBe(false);
    expect(geometry.isInside([0.4, 0.1], SQUARE)).toBe(false);
  });

  it("finds crossing sides, and none in a plain or touching shape", () => {
    expect(geometry.isTwisted(SQUARE)).toBe(false);
    expect(geometry.isTwisted([SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]] as Point[])).toBe(true);
    expect(geometry.isTwisted(SQUARE.slice(0, 3))).toBe(false);
  });

  it("points forward from the left hand to the right hand of who looks from start to end", () => {
    // Looking up the picture, the right hand is at the right.
    expect(geometry.forward([0.5, 0.9], [0.5, 0.1], SIZE)).toEqual([1, 0]);
    // Looking right, the right hand is below.
    expect(geometry.forward([0.1, 0.5], [0.9, 0.5], SIZE)).toEqual([0, 1]);
  });

  it("takes headings in pixels, clockwise from up, and turns them into arrows and back", () => {
    expect(geometry.headingTo([0.5, 0.5], [0.5, 0.1], SIZE)).toBe(0);
    expect(geometry.headingTo([0.5, 0.5], [0.9, 0.5], SIZE)).toBe(90);
    expect(geometry.headingTo([0.5, 0.5], [0.5, 0.9], SIZE)).toBe(180);
    expect(geometry.headingTo([0.5, 0.5], [0.1, 0.5], SIZE)).toBe(270);
    for (let heading = 0; heading < 360; heading += 1) {
      const [dx, dy] = geometry.headingVector(heading);
      const to: Point = [0.5 + (dx * 100) / SIZE.width, 0.5 + (dy * 100) / SIZE.height];
      expect(geometry.headingTo([0.5, 0.5], to, SIZE)).toBe(heading);
    }
  });

  it("keeps points on the picture", () => {
    expect(geometry.clamp([-1, 2])).toEqual([0, 1]);
  });
});

describe("arrows", () => {
  const line = { kind: "line_crossing", name: "L", start: [0.5, 0.9], end: [0.5, 0.1] } as const;

  it("show each direction in which a crossing counts", () => {
    expect(crossingArrows(line, SIZE)).toHaveLength(2);
    const [forward] = crossingArrows({ ...line, direction: "forward" }, SIZE);
    const [backward] = crossingArrows({ ...line, direction: "backward" }, SIZE);
    expect(forward?.way[0]).toBe(1);
    expect(backward?.way[0]).toBe(-1);
    expect((forward?.to[0] ?? 0) - (forward?.from[0] ?? 0)).toBeGreaterThan(0);
  });

  it("stand in the middle of the area that they belong to", () => {
    const arrow = headingArrow({ kind: "wrong_way", name: "W", polygon: SQUARE, heading_deg: 90 }, SIZE);
    expect(arrow.from[1]).toBeCloseTo(0.4 * SIZE.height);
    expect(arrow.to[0]).toBeGreaterThan(arrow.from[0]);
    expect(arrow.to[1]).toBeCloseTo(arrow.from[1]);
  });
});

describe("a drawing", () => {
  const drawing = draft.drawingOf(SETUP);

  it("keeps what it does not know, and changes nothing by itself", () => {
    const same = draft.setupWith(SETUP, drawing);
    expect(same.rules).toEqual(SETUP.rules);
    expect(same).toMatchObject({ masks: [], blur_persons: true, calibration: null });
    const renamed = draft.withName(drawing, RULE, "Gate");
    expect(renamed.rules[0]).toMatchObject({ name: "Gate", from_tomorrow: 7 });
    expect(drawing.rules[0]?.name).toBe("Yard");
  });

  it("adds every kind of rule with a place that the server takes", () => {
    for (const kind of RULE_KINDS) {
      const { shape } = KINDS[kind];
      const points = shape === "none" ? [] : draft.firstPoints(shape);
      const rule = draft.withRule(drawing, kind, kind, points).rules.at(-1);
      expect(rule?.kind).toBe(kind);
      if (shape === "polygon")
        expect(draft.pointsOf({ ...drawing, rules: rule ? [rule] : [] }, RULE)).toHaveLength(4);
      if (shape === "line") expect(rule?.start).not.toEqual(rule?.end);
      if (kind === "wrong_way") expect(rule?.heading_deg).toBe(0);
    }
  });

  it("gives each its own name", () => {
    const two = draft.withRule(drawing, "crowd", "Yard", SQUARE);
    expect(two.rules[1]?.name).toBe("Yard 2");
    expect(draft.withMask(two, "Yard", SQUARE).masks[0]?.name).toBe("Yard 3");
  });

  it("puts corners in and takes them out, never below three", () => {
    const more = draft.withCorner(drawing, RULE, 0, [0.4, 0.1]);
    expect(draft.pointsOf(more, RULE)).toHaveLength(5);
    expect(draft.pointsOf(more, RULE)[1]).toEqual([0.4, 0.1]);
    let less = more;
    for (let n = 0; n < 9; n += 1) less = draft.withoutCorner(less, RULE, 0);
    expect(draft.pointsOf(less, RULE)).toHaveLength(3);
  });

  it("moves the ends of a line, which has no corners to add", () => {
    const line = draft.withRule(drawing, "line_crossing", "Line", draft.firstPoints("line"));
    const choice = { part: "rule", index: 1 } as const;
    const moved = draft.withPoint(line, choice, 1, [2, 0.25]);
    expect(moved.rules[1]).toMatchObject({ end: [1, 0.25] });
    expect(draft.withCorner(moved, choice, 0, [0.5, 0.5])).toBe(moved);
  });

  it("is calibrated only with all four points on both sides", () => {
    let calibrated = draft.withCalibration(drawing);
    expect(draft.calibrationOf(calibrated)).toBeNull();
    for (let at = 0; at < 4; at += 1) {
      expect(draft.calibrationOf(calibrated)).toBeNull();
      calibrated = draft.withGround(calibrated, at, [13 + at / 1000, 53]);
    }
    expect(draft.calibrationOf(calibrated)?.ground).toHaveLength(4);
    const none = draft.without(calibrated, { part: "calibration", index: 0 });
    expect(draft.setupWith(SETUP, none).calibration).toBeNull();
  });
});

describe("history", () => {
  it("undoes a whole drag at once and redoes it", () => {
    const history = new draft.History(draft.drawingOf(SETUP));
    const first = history.now;
    for (let n = 0; n < 20; n += 1) {
      history.put(draft.withPoint(history.now, RULE, 0, [0.1 + n / 100, 0.1]), "point 0");
    }
    history.settle();
    history.put(draft.withName(history.now, RULE, "Gate"));
    history.undo();
    expect(draft.pointsOf(history.now, RULE)[0]).toEqual([0.29, 0.1]);
    history.undo();
    expect(history.now).toBe(first);
    expect(history.mayUndo).toBe(false);
    history.redo();
    expect(draft.pointsOf(history.now, RULE)[0]).toEqual([0.29, 0.1]);
    history.put(draft.without(history.now, RULE));
    expect(history.mayRedo).toBe(false);
  });

  it("returns to where it began after any sequence of steps", () => {
    let seed = 7;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % below;
    };
    for (let run = 0; run < 30; run += 1) {
      const history = new draft.History(draft.drawingOf(SETUP));
      const first = history.now;
      for (let n = 0; n < 40; n += 1) {
        const step = random(5);
        if (step === 0) history.put(draft.withRule(history.now, "crowd", "Crowd", SQUARE));
        else if (step === 1) history.put(draft.withMask(history.now, "Mask", SQUARE));
        else if (step === 2) history.put(draft.without(history.now, RULE));
        else if (step === 3) history.undo();
        else history.redo();
        const names = [...history.now.rules, ...history.now.masks].map((one) => one.name);
        expect(new Set(names).size).toBe(names.length);
      }
      while (history.mayUndo) history.undo();
      expect(history.now).toBe(first);
    }
  });
});
