/**
 * What the console knows: a snapshot with changes laid over it. State is never changed in place, so a view
 * that holds an old state keeps a consistent picture.
 *
 * The one law (tested on random sequences): a snapshot with changes applied equals a fresh snapshot.
 */
import {
  type ChangeMessage,
  ENTITY_KINDS,
  type Entities,
  type EntityChange,
  type EntityKind,
  type SnapshotMessage,
  type WireFix,
} from "../model/types";

export interface Fix {
  readonly unit_id: string;
  readonly lon: number;
  readonly lat: number;
  readonly speed_mps: number;
  readonly heading_deg: number;
  readonly time_ms: number;
}

export type Tables = { readonly [K in EntityKind]: ReadonlyMap<string, Entities[K]> };

export interface State extends Tables {
  /** Sequence of the last change that is in here; null before the first snapshot. */
  readonly seq: number | null;
  readonly fixes: ReadonlyMap<string, Fix>;
}

const DEFAULTS: Readonly<Partial<Record<EntityKind, Readonly<Record<string, unknown>>>>> = {
  unit: { state: "available" },
  camera: { state: "connecting", heading_deg: 0, field_of_view_deg: 60 },
  camera_setup: {
    sub_url: "",
    transport: "tcp",
    onvif_url: "",
    heading_deg: 0,
    field_of_view_deg: 60,
    rules: [],
    masks: [],
    blur_persons: true,
    calibration: null,
    retention: {},
    audio: false,
    enabled: true,
    simulated: false,
    shard: 0,
  },
};

const PAST: Readonly<Partial<Record<EntityKind, readonly string[]>>> = {
  incident: ["closed"],
  call: ["submitted", "closed"],
  assignment: ["cleared", "cancelled"],
};

export const EMPTY: State = {
  seq: null,
  fixes: new Map(),
  ...(Object.fromEntries(ENTITY_KINDS.map((kind) => [kind, new Map()])) as unknown as Tables),
};

function complete<K extends EntityKind>(kind: K, value: Entities[K]): Entities[K] {
  const defaults = DEFAULTS[kind];
  return defaults ? { ...defaults, ...value } : value;
}

/** Whether a value is still work or a fixture; what is past leaves the picture. */
export function isCurrent(kind: EntityKind, value: unknown): boolean {
  if (value === null || value === undefined || kind === "alarm") return false;
  const { state, released_at } = value as { state?: string; released_at?: string | null };
  if (kind === "hold" && released_at) return false;
  return state === undefined || !PAST[kind]?.includes(state);
}

/** Return the state that a snapshot describes. */
export function fromSnapshot(message: SnapshotMessage): State {
  const tables = Object.fromEntries(
    ENTITY_KINDS.map((kind) => {
      const values = (message.entities[kind] ?? []) as readonly { id: string }[];
      const current = values.filter((value) => isCurrent(kind, value));
      return [kind, new Map(current.map((value) => [value.id, complete(kind, value as never)]))];
    }),
  ) as unknown as Tables;
  const fixes = new Map((message.positions ?? []).map((wire) => [wire[0], readFix(wire)]));
  return { ...tables, fixes, seq: message.seq };
}

/** Return the state after `changes`; tables that no change touches stay the same object. */
export function applyChanges(state: State, changes: readonly EntityChange[], seq: number | null): State {
  const touched = new Map<EntityKind, Map<string, unknown>>();
  for (const change of changes) {
    let table = touched.get(change.kind);
    if (!table) {
      table = new Map<string, unknown>(state[change.kind] ?? []);
      touched.set(change.kind, table);
    }
    if (isCurrent(change.kind, change.value)) {
      table.set(change.id, complete(change.kind, change.value as never));
    } else {
      table.delete(change.id);
    }
  }
  return { ...state, ...(Object.fromEntries(touched) as Partial<Tables>), seq };
}

/** Return the state with newer positions; an older fix never replaces a newer one. */
export function applyFixes(state: State, wires: readonly WireFix[]): State {
  const fixes = new Map(state.fixes);
  for (const wire of wires) {
    const fix = readFix(wire);
    const known = fixes.get(fix.unit_id);
    if (!known || known.time_ms <= fix.time_ms) fixes.set(fix.unit_id, fix);
  }
  return { ...state, fixes };
}

function readFix(wire: WireFix): Fix {
  const [unit_id, lon, lat, speed_mps, heading_deg, time_ms] = wire;
  return { unit_id, lon, lat, speed_mps, heading_deg, time_ms };
}

/** Holds the state, takes what the feed and the answers to commands bring, and tells its listeners. */
export class EventStore {
  #state: State = EMPTY;
  /** Entities known from the answer to a command, ahead of the feed: "kind:id" to sequence. */
  readonly #ahead = new Map<string, number>();
  readonly #listeners = new Set<(state: State) => void>();

  get state(): State {
    return this.#state;
  }

  /** Call `listener` at each new state; returns what ends it. */
  subscribe(listener: (state: State) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  snapshot(message: SnapshotMessage): void {
    this.#ahead.clear();
    this.#set(fromSnapshot(message));
  }

  /** Apply a change of the feed; one that is already in the state does nothing. */
  change(message: ChangeMessage): void {
    const seq = this.#state.seq;
    if (seq === null || message.seq <= seq) return;
    const fresh = message.changes.filter((change) => !this.#isAhead(change, message.seq));
    this.#set(applyChanges(this.#state, fresh, message.seq));
  }

  /** Take an entity from the answer to a command, so that its effect shows before the feed brings it. */
  learn(kind: EntityKind, id: string, value: unknown, seq: number): void {
    const known = this.#state.seq;
    const key = `${kind}:${id}`;
    if (known === null || seq <= known || seq <= (this.#ahead.get(key) ?? 0)) return;
    this.#ahead.set(key, seq);
    this.#set(applyChanges(this.#state, [{ kind, id, value }], known));
  }

  positions(fixes: readonly WireFix[]): void {
    if (this.#state.seq !== null) this.#set(applyFixes(this.#state, fixes));
  }

  /** Forget everything, at sign-out. */
  clear(): void {
    this.#ahead.clear();
    this.#set(EMPTY);
  }

  #isAhead(change: EntityChange, seq: number): boolean {
    const key = `${change.kind}:${change.id}`;
    const ahead = this.#ahead.get(key);
    if (ahead === undefined) return false;
    if (ahead > seq) return true;
    this.#ahead.delete(key);
    return false;
  }

  #set(state: State): void {
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }
}
