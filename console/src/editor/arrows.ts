/** The arrows of rules on the picture, in pixels: which way a line counts, which way an area allows. */
import type { Point, VideoRule } from "../model/camera";
import { centre, forward, headingVector, type Size } from "./geometry";

const ARROW_PX = 46;

export interface Arrow {
  readonly from: Point;
  readonly to: Point;
  /** Its direction, of length one. */
  readonly way: Point;
}

/** One arrow for each direction in which a crossing of the line is an event. */
export function crossingArrows(rule: VideoRule, size: Size): readonly Arrow[] {
  const middle = centre([rule.start as Point, rule.end as Point]);
  const way = forward(rule.start as Point, rule.end as Point, size);
  const back: Point = [-way[0], -way[1]];
  const direction = (rule.direction as string | undefined) ?? "both";
  const ways = direction === "both" ? [way, back] : direction === "forward" ? [way] : [back];
  return ways.map((one) => {
    const from: Point = [middle[0] * size.width, middle[1] * size.height];
    return { from, to: [from[0] + one[0] * ARROW_PX, from[1] + one[1] * ARROW_PX], way: one };
  });
}

/** The allowed way of an area. */
export function headingArrow(rule: VideoRule, size: Size): Arrow {
  const middle = centre(rule.polygon as Point[]);
  const [x, y] = [middle[0] * size.width, middle[1] * size.height];
  const way = headingVector(Number(rule.heading_deg ?? 0));
  const from: Point = [x - way[0] * ARROW_PX * 0.5, y - way[1] * ARROW_PX * 0.5];
  return { from, to: [x + way[0] * ARROW_PX, y + way[1] * ARROW_PX], way };
}
