/** The strip of a camera's recordings: moments to places on it, what lies where, what comes next. Pure. */
import type { CameraTimeline, Gap, Hold, TimelineEvent } from "../model/camera";

/** How much time the strip may show. */
export const WINDOWS_S = [600, 3_600, 21_600, 86_400] as const;
export type Window_s = (typeof WINDOWS_S)[number];

/** Recordings closer than this belong together on the strip; files follow each other with less. */
const JOIN_MS = 1_500;
/** An event just passed is not "the next" again. */
const PAST_MS = 400;

export interface Range {
  readonly start_ms: number;
  readonly end_ms: number;
}

export interface Bar extends Range {
  readonly reason: string;
}

export interface Tick {
  readonly at_ms: number;
  readonly event: TimelineEvent;
}

export interface KeptRange extends Range {
  readonly hold: Hold;
}

export interface Strip {
  readonly recordings: readonly Range[];
  readonly gaps: readonly Bar[];
  readonly events: readonly Tick[];
  readonly holds: readonly KeptRange[];
}

export const NO_STRIP: Strip = { recordings: [], gaps: [], events: [], holds: [] };

const rangeOf = (span: { readonly start: string; readonly end: string }): Range => ({
  start_ms: Date.parse(span.start),
  end_ms: Date.parse(span.end),
});

/** Join ranges that touch or nearly touch, in order. */
export function joined(ranges: readonly Range[], apart_ms = JOIN_MS): Range[] {
  const all: Range[] = [];
  for (const range of [...ranges].sort((a, b) => a.start_ms - b.start_ms)) {
    const last = all.at(-1);
    if (last && range.start_ms - last.end_ms <= apart_ms) {
      all[all.length - 1] = { start_ms: last.start_ms, end_ms: Math.max(last.end_ms, range.end_ms) };
    } else {
      all.push({ start_ms: range.start_ms, end_ms: range.end_ms });
    }
  }
  return all;
}

/** What the server told, ready to draw. */
export function stripOf(told: CameraTimeline): Strip {
  return {
    recordings: joined((told.recordings ?? []).map(rangeOf)),
    gaps: (told.gaps ?? []).map((gap: Gap) => ({ ...rangeOf(gap), reason: gap.reason ?? "" })),
    events: (told.events ?? [])
      .map((event) => ({ at_ms: Date.parse(event.at), event }))
      .sort((a, b) => a.at_ms - b.at_ms),
    holds: (told.holds ?? []).filter((hold) => !hold.released_at).map((hold) => ({ ...rangeOf(hold), hold })),
  };
}

/** Where a moment is on the strip, 0 at its left to 1 at its right, not limited. */
export function shareOf(at_ms: number, view: Range): number {
  return (at_ms - view.start_ms) / (view.end_ms - view.start_ms);
}

export function momentAt(share: number, view: Range): number {
  const within = Math.min(1, Math.max(0, share));
  return view.start_ms + within * (view.end_ms - view.start_ms);
}

/** The part of a range that the view shows, as shares; null when it shows none of it. */
export function shown(range: Range, view: Range): { readonly from: number; readonly to: number } | null {
  const from = Math.max(0, shareOf(range.start_ms, view));
  const to = Math.min(1, shareOf(range.end_ms, view));
  return to > from ? { from, to } : null;
}

export function around(at_ms: number, window_s: number): Range {
  const half_ms = (window_s * 1000) / 2;
  return { start_ms: at_ms - half_ms, end_ms: at_ms + half_ms };
}

/** Keep the view while the moment is well inside it, else bring the moment back to where there is room. */
export function follow(view: Range, at_ms: number): Range {
  const share = shareOf(at_ms, view);
  if (share >= 0.04 && share <= 0.9) return view;
  const length_ms = view.end_ms - view.start_ms;
  const start_ms = at_ms - length_ms * (share > 0.9 && share <= 1.2 ? 0.15 : 0.5);
  return { start_ms, end_ms: start_ms + length_ms };
}

const STEPS_S = [10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600] as const;

/** Round moments of the wall clock to write under the strip, at most `most` of them. */
export function marks(view: Range, most: number): number[] {
  const length_s = (view.end_ms - view.start_ms) / 1000;
  const step_ms = 1000 * (STEPS_S.find((step) => length_s / step <= most) ?? 43_200);
  // Steps of hours are round in local time only when counted from local midnight.
  const zone_ms = new Date(view.start_ms).getTimezoneOffset() * 60_000;
  const first = Math.ceil((view.start_ms - zone_ms) / step_ms) * step_ms + zone_ms;
  const all: number[] = [];
  for (let at = first; at <= view.end_ms; at += step_ms) all.push(at);
  return all;
}

export function gapAt(strip: Strip, at_ms: number): Bar | null {
  return strip.gaps.find((gap) => at_ms >= gap.start_ms && at_ms < gap.end_ms) ?? null;
}

export function isRecorded(strip: Strip, at_ms: number): boolean {
  return strip.recordings.some((range) => at_ms >= range.start_ms && at_ms <= range.end_ms);
}

export function nextEvent(strip: Strip, at_ms: number): Tick | null {
  return strip.events.find((tick) => tick.at_ms > at_ms + PAST_MS) ?? null;
}

export function previousEvent(strip: Strip, at_ms: number): Tick | null {
  return strip.events.findLast((tick) => tick.at_ms < at_ms - PAST_MS) ?? null;
}

/** The event nearest to a moment, within a distance. */
export function eventNear(strip: Strip, at_ms: number, within_ms: number): Tick | null {
  let best: Tick | null = null;
  let least_ms = within_ms;
  for (const tick of strip.events) {
    const away_ms = Math.abs(tick.at_ms - at_ms);
    if (away_ms <= least_ms) {
      best = tick;
      least_ms = away_ms;
    }
  }
  return best;
}
