/** The editor of one camera's rules: what is drawn, chosen, being drawn, and whether it is saved. */
import {
  type Choice,
  calibrationOf,
  type Drawing,
  drawingOf,
  firstPoints,
  History,
  isArea,
  pointsOf,
  setupWith,
  withCalibration,
  withCorner,
  withMask,
  without,
  withoutCorner,
  withPoint,
  withPoints,
  withRule,
} from "../editor/draft";
import { isTwisted } from "../editor/geometry";
import { KINDS, type RuleKind } from "../editor/kinds";
import type { CameraSetup, Point } from "../model/camera";
import { desk } from "./desk.svelte";
import { setups } from "./setups.svelte";
import { t } from "./speech.svelte";

/** What is being drawn, corner by corner. */
export interface Pending {
  readonly what: RuleKind | "mask";
  readonly points: readonly Point[];
}

const CORNERS_LEAST = 3;

export class Editor {
  readonly #history: History;
  #version = $state(0);
  choice = $state.raw<Choice | null>(null);
  /** The corner that keys move. */
  corner = $state(-1);
  pending = $state.raw<Pending | null>(null);
  /** Which point of the calibration the next click on the map places. */
  mapPoint = $state(0);

  readonly drawing = $derived.by((): Drawing => {
    void this.#version;
    return this.#history.now;
  });
  readonly mayUndo = $derived.by(() => {
    void this.#version;
    return this.#history.mayUndo;
  });
  readonly mayRedo = $derived.by(() => {
    void this.#version;
    return this.#history.mayRedo;
  });
  readonly changed = $derived(this.mayUndo);
  readonly points = $derived(this.choice ? pointsOf(this.drawing, this.choice) : []);
  readonly area = $derived(this.choice !== null && isArea(this.drawing, this.choice));
  readonly twisted = $derived(this.area && isTwisted(this.points));
  readonly calibrated = $derived(calibrationOf(this.drawing) !== null);

  constructor(readonly setup: CameraSetup) {
    this.#history = new History(drawingOf(setup));
  }

  put(drawing: Drawing, merge = ""): void {
    if (!desk.may("configure")) return;
    this.#history.put(drawing, merge);
    this.#version += 1;
  }

  settle(): void {
    this.#history.settle();
  }

  undo(): void {
    this.#history.undo();
    this.#afterUndo();
  }

  redo(): void {
    this.#history.redo();
    this.#afterUndo();
  }

  choose(choice: Choice | null, corner = -1): void {
    this.pending = null;
    this.choice = choice;
    this.corner = corner;
  }

  isChosen(part: Choice["part"], index: number): boolean {
    return this.choice?.part === part && this.choice.index === index;
  }

  /** Begin to draw; a rule without a place is there at once. */
  begin(what: Pending["what"]): void {
    if (what !== "mask" && KINDS[what].shape === "none") {
      this.#add(what, []);
      return;
    }
    this.choice = null;
    this.corner = -1;
    this.pending = { what, points: [] };
  }

  /** A click on the picture while drawing: one corner more. A line is ready with its second. */
  place(point: Point): void {
    if (!this.pending) return;
    const points = [...this.pending.points, point];
    this.pending = { ...this.pending, points };
    if (this.pendingShape === "line" && points.length === 2) this.finish();
  }

  /** The drawing is ready. Without a corner it stands in the middle, to be moved from there by key. */
  finish(): void {
    const pending = this.pending;
    if (!pending) return;
    const shape = this.pendingShape;
    const none = pending.points.length === 0;
    if (!none && shape === "polygon" && pending.points.length < CORNERS_LEAST) return;
    if (!none && shape === "line" && pending.points.length < 2) return;
    this.#add(pending.what, none ? firstPoints(shape) : pending.points);
  }

  /** Back by one: the corner just drawn, the drawing, the choice. Returns whether there was anything. */
  cancel(): boolean {
    if (this.pending) {
      const points = this.pending.points.slice(0, -1);
      this.pending = this.pending.points.length > 0 ? { ...this.pending, points } : null;
      return true;
    }
    if (!this.choice) return false;
    this.choose(null);
    return true;
  }

  get pendingShape(): "polygon" | "line" {
    const what = this.pending?.what;
    return what && what !== "mask" && KINDS[what].shape === "line" ? "line" : "polygon";
  }

  move(at: number, point: Point): void {
    if (!this.choice) return;
    const { part, index } = this.choice;
    this.put(withPoint(this.drawing, this.choice, at, point), `point ${part} ${index} ${at}`);
  }

  /** Move all points of what is chosen by a share of the picture. */
  shift(dx: number, dy: number): void {
    if (!this.choice) return;
    const xs = this.points.map((point) => point[0]);
    const ys = this.points.map((point) => point[1]);
    const x = Math.max(-Math.min(...xs), Math.min(1 - Math.max(...xs), dx));
    const y = Math.max(-Math.min(...ys), Math.min(1 - Math.max(...ys), dy));
    const moved = this.points.map((point): Point => [point[0] + x, point[1] + y]);
    const { part, index } = this.choice;
    this.put(withPoints(this.drawing, this.choice, moved), `shift ${part} ${index}`);
  }

  insert(after: number, point: Point): void {
    if (!this.choice) return;
    this.put(withCorner(this.drawing, this.choice, after, point));
    this.corner = after + 1;
  }

  /** Delete the chosen corner; an area that has only three, or no corner chosen, goes as a whole. */
  remove(): void {
    if (!this.choice) return;
    if (this.corner >= 0 && this.area && this.points.length > CORNERS_LEAST) {
      this.put(withoutCorner(this.drawing, this.choice, this.corner));
      this.corner = Math.min(this.corner, this.points.length - 1);
      return;
    }
    this.put(without(this.drawing, this.choice));
    this.choose(null);
  }

  calibrate(): void {
    this.put(withCalibration(this.drawing));
    this.choose({ part: "calibration", index: 0 });
    this.mapPoint = Math.max(0, this.drawing.ground.indexOf(null));
  }

  async save(): Promise<boolean> {
    const done = await setups.save(setupWith(this.setup, this.drawing));
    if (done) desk.notice(t("setup.saved", { name: this.setup.name }));
    return done;
  }

  #add(what: Pending["what"], points: readonly Point[]): void {
    this.pending = null;
    if (what === "mask") {
      this.put(withMask(this.drawing, t("editor.mask"), points));
      this.choose({ part: "mask", index: this.drawing.masks.length - 1 });
    } else {
      this.put(withRule(this.drawing, what, t(`rule.${what}`), points));
      this.choose({ part: "rule", index: this.drawing.rules.length - 1 });
    }
  }

  #afterUndo(): void {
    this.#version += 1;
    this.choose(null);
  }
}
