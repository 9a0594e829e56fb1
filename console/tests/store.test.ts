import { describe, expect, it } from "vitest";
import type { EntityChange, EntityKind, SnapshotMessage, WireFix } from "../src/model/types";
import { applyFixes, EventStore, fromSnapshot, isCurrent, type State } from "../src/store/store";

/** Mulberry32: a small generator with a seed, so that a failing sequence can be run again. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const STATES: Readonly<Partial<Record<EntityKind, readonly string[]>>> = {
  incident: ["new", "acknowledged", "dispatched", "closed"],
  call: ["ringing", "taken", "submitted", "closed"],
  unit: ["available", "en_route"],
  assignment: ["dispatched", "cleared", "cancelled"],
  camera: ["live", "lost"],
};
const KINDS = Object.keys(STATES) as EntityKind[];

/** The server's side of the law: it keeps everything and says what is current. */
class Server {
  seq = 0;
  readonly all = new Map<string, { kind: EntityKind; id: string; state: string; note: number }>();

  change(random: () => number): { seq: number; changes: EntityChange[] } {
    this.seq += 1 + Math.floor(random() * 3);
    const changes: EntityChange[] = [];
    for (let n = Math.floor(random() * 4); n >= 0; n -= 1) {
      const kind = KINDS[Math.floor(random() * KINDS.length)] ?? "unit";
      const states = STATES[kind] ?? [];
      const id = `${kind}-${Math.floor(random() * 6)}`;
      const value = { kind, id, state: states[Math.floor(random() * states.length)] ?? "", note: random() };
      this.all.set(`${kind}:${id}`, value);
      changes.push({ kind, id, value: isCurrent(kind, value) ? value : null });
    }
    return { seq: this.seq, changes };
  }

  snapshot(): SnapshotMessage {
    const entities: Record<string, unknown[]> = {};
    for (const value of this.all.values()) {
      if (!isCurrent(value.kind, value)) continue;
      const list = entities[value.kind] ?? [];
      entities[value.kind] = [...list, value];
    }
    return { type: "snapshot", seq: this.seq, entities: entities as SnapshotMessage["entities"] };
  }
}

function plain(state: State): unknown {
  const tables = KINDS.map((kind) => [
    kind,
    Object.fromEntries([...state[kind].entries()].sort(([a], [b]) => (a < b ? -1 : 1))),
  ]);
  return { seq: state.seq, ...Object.fromEntries(tables) };
}

describe("snapshot and changes", () => {
  it("equal a fresh snapshot, for random sequences with repeats and answers that run ahead", () => {
    for (let seed = 1; seed <= 300; seed += 1) {
      const random = generator(seed);
      const server = new Server();
      for (let n = 0; n < 5; n += 1) server.change(random);
      const store = new EventStore();
      store.snapshot(server.snapshot());
      for (let n = 0; n < 40; n += 1) {
        const { seq, changes } = server.change(random);
        const ahead = changes[0];
        // The answer to a command may come before the feed, after it, or twice.
        if (ahead && random() < 0.3) store.learn(ahead.kind, ahead.id, lastOf(changes, ahead), seq);
        store.change({ type: "change", seq, changes });
        if (random() < 0.2) store.change({ type: "change", seq, changes });
        if (ahead && random() < 0.3) store.learn(ahead.kind, ahead.id, lastOf(changes, ahead), seq);
      }
      expect(plain(store.state), `seed ${seed}`).toEqual(plain(fromSnapshot(server.snapshot())));
    }
  });

  it("ignores an answer that is older than what the feed brought", () => {
    const store = new EventStore();
    store.snapshot({ type: "snapshot", seq: 1, entities: {} });
    store.change({
      type: "change",
      seq: 3,
      changes: [{ kind: "incident", id: "a", value: { id: "a", state: "dispatched" } }],
    });
    store.learn("incident", "a", { id: "a", state: "acknowledged" }, 2);
    expect(store.state.incident.get("a")?.state).toBe("dispatched");
  });

  it("does not let the feed undo an answer that is newer", () => {
    const store = new EventStore();
    store.snapshot({ type: "snapshot", seq: 1, entities: {} });
    store.learn("incident", "a", { id: "a", state: "dispatched" }, 3);
    store.change({
      type: "change",
      seq: 2,
      changes: [{ kind: "incident", id: "a", value: { id: "a", state: "acknowledged" } }],
    });
    expect(store.state.incident.get("a")?.state).toBe("dispatched");
    expect(store.state.seq).toBe(2);
  });

  it("keeps old states as they were", () => {
    const store = new EventStore();
    store.snapshot({ type: "snapshot", seq: 1, entities: {} });
    const before = store.state;
    store.change({ type: "change", seq: 2, changes: [{ kind: "unit", id: "u", value: { id: "u" } }] });
    expect(before.unit.size).toBe(0);
    expect(store.state.unit.get("u")?.state).toBe("available");
    expect(store.state.camera).toBe(before.camera);
  });
});

describe("positions", () => {
  const fix = (time_ms: number, lon: number): WireFix => ["u", lon, 53, 0, 0, time_ms];

  it("never go back in time", () => {
    const state = applyFixes(fromSnapshot({ type: "snapshot", seq: 1, entities: {} }), [fix(2000, 2)]);
    expect(applyFixes(state, [fix(1000, 1)]).fixes.get("u")?.lon).toBe(2);
    expect(applyFixes(state, [fix(3000, 3)]).fixes.get("u")?.lon).toBe(3);
  });
});

function lastOf(changes: readonly EntityChange[], one: EntityChange): unknown {
  return changes.findLast((change) => change.kind === one.kind && change.id === one.id)?.value;
}
