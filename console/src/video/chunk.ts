/**
 * A piece of a recording as GET /api/playback/TOKEN/chunk answers: 4 bytes of length (big-endian), JSON, then
 * the initialisation segment and fragments, one behind the other.
 */
import type { Gap } from "../model/camera";

export interface Chunk {
  readonly mime: string;
  readonly start_ms: number;
  readonly end_ms: number;
  /** Where the next piece begins, to be asked for in the very words; null when nothing more is recorded. */
  readonly next: string | null;
  /** What is missing between this piece and the next. */
  readonly gap: Gap | null;
  /** What is missing at the moment that was asked for: this piece begins behind it. */
  readonly skipped: Gap | null;
  /** Why the whole picture is coarse instead of people only; empty when it is not. */
  readonly coarse: string;
  /** What a decoder takes: initialisation segment and fragments. */
  readonly film: Uint8Array<ArrayBuffer>;
}

interface Head {
  readonly mime: string;
  readonly start: string;
  readonly end: string;
  readonly next?: string | null;
  readonly gap?: Gap | null;
  readonly skipped?: Gap | null;
  readonly coarse?: string;
}

/** Read an answer; throws RangeError when it is cut short. */
export function readChunk(answer: ArrayBuffer): Chunk {
  if (answer.byteLength < 4) throw new RangeError("a piece of film without its head");
  const length = new DataView(answer).getUint32(0);
  if (4 + length > answer.byteLength) throw new RangeError("a piece of film with half a head");
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(answer, 4, length))) as Head;
  return {
    mime: head.mime,
    start_ms: Date.parse(head.start),
    end_ms: Date.parse(head.end),
    next: head.next ?? null,
    gap: head.gap ?? null,
    skipped: head.skipped ?? null,
    coarse: head.coarse ?? "",
    film: new Uint8Array(answer, 4 + length),
  };
}
