/** The incident in hand: its order in the queue, its details, its recommendation and the choice of units. */

import { ApiError } from "../api/api";
import type { Disposition, Incident, IncidentDetail, Recommendation, Unit } from "../model/types";
import { desk } from "./desk.svelte";
import { t } from "./speech.svelte";

/** By priority; in one priority the unacknowledged first, then the longest waiting. */
export function inOrder(a: Incident, b: Incident): number {
  const fresh = Number(b.state === "new") - Number(a.state === "new");
  return (
    a.priority - b.priority || fresh || a.opened_at.localeCompare(b.opened_at) || a.id.localeCompare(b.id)
  );
}

const ASK_AGAIN_MS = 2_000;
const RECOMMENDED_IN = ["new", "acknowledged", "cleared"];

export class Work {
  readonly #open = $derived(desk.picture.incident);
  readonly queue = $derived(Array.from(this.#open.values()).sort(inOrder));
  selectedId = $state("");
  detail = $state.raw<IncidentDetail | null>(null);
  recommendation = $state.raw<Recommendation | null>(null);
  recommending = $state(false);
  /** The dispatch room does not answer; it is asked again until it does. */
  adviceAway = $state(false);
  unticked = $state.raw<ReadonlySet<string>>(new Set());
  added = $state.raw<readonly string[]>([]);
  overrideReason = $state("");
  overrideMissing = $state(false);
  closing = $state(false);
  busy = $state(false);
  /** The dispatch was previewed by key: Enter sends it. */
  armed = $state(false);
  /** The camera the operator asked for, by the map or by "next"; else the nearest is shown. */
  wantedCamera = $state("");

  /** The chosen incident: from the live picture, or as last read when it is closed. */
  readonly incident = $derived.by((): Incident | null => {
    const live = this.#open.get(this.selectedId);
    if (live) return live;
    const read = this.detail?.incident;
    return read && read.id === this.selectedId ? read : null;
  });
  readonly assignments = $derived(
    Array.from(desk.picture.assignment.values()).filter((one) => one.incident_id === this.selectedId),
  );
  readonly chosen = $derived([
    ...(this.recommendation?.picks ?? []).map((pick) => pick.unit_id).filter((id) => !this.unticked.has(id)),
    ...this.added,
  ]);
  readonly mayDispatch = $derived(this.incident !== null && this.incident.state !== "closed");
  readonly mayClose = $derived(this.incident?.state === "acknowledged" || this.incident?.state === "cleared");
  readonly differs = $derived(this.added.length > 0 || this.unticked.size > 0);
  /** Free units that are not yet in the choice, for adding by hand. */
  readonly others = $derived.by((): Unit[] => {
    const taken = new Set([...(this.recommendation?.picks ?? []).map((pick) => pick.unit_id), ...this.added]);
    return Array.from(desk.picture.unit.values())
      .filter((unit) => unit.state === "available" && !taken.has(unit.id))
      .sort((a, b) => a.agency.localeCompare(b.agency) || a.call_sign.localeCompare(b.call_sign));
  });

  #asked = 0;

  select(id: string): void {
    if (id === this.selectedId) return;
    this.selectedId = id;
    this.detail = null;
    this.wantedCamera = "";
    this.#resetChoice();
  }

  /** Move in the queue by `steps`; from nothing, to its head. */
  move(steps: number): void {
    const at = this.queue.findIndex((incident) => incident.id === this.selectedId);
    const next = at < 0 ? 0 : Math.min(this.queue.length - 1, Math.max(0, at + steps));
    const incident = this.queue[next];
    if (incident) this.select(incident.id);
  }

  /** Read what the live picture doesn't carry; called again whenever the incident changes. */
  async refresh(incident: Incident): Promise<void> {
    this.#asked += 1;
    const asked = this.#asked;
    try {
      const detail = await desk.api.incident(incident.id);
      if (asked === this.#asked && this.selectedId === incident.id) this.detail = detail;
    } catch (error) {
      if (asked === this.#asked) desk.say(error);
    }
  }

  async recommend(incident: Incident): Promise<void> {
    if (!RECOMMENDED_IN.includes(incident.state) || !desk.may("dispatch")) {
      this.#resetChoice();
      return;
    }
    this.recommending = this.recommendation === null;
    try {
      const found = await desk.api.recommendation(incident.id);
      // An answer that comes after the dispatch would offer to send the same again.
      const now = this.incident;
      const wanted = now?.id === incident.id && RECOMMENDED_IN.includes(now.state);
      if (wanted) this.recommendation = found;
      this.adviceAway = false;
    } catch (error) {
      this.adviceAway = error instanceof ApiError && ["unavailable", "offline"].includes(error.code);
      if (this.adviceAway) this.#askAgain(incident.id);
      else desk.say(error);
    } finally {
      this.recommending = false;
    }
  }

  tick(unit_id: string, on: boolean): void {
    const next = new Set(this.unticked);
    if (on) next.delete(unit_id);
    else next.add(unit_id);
    this.unticked = next;
  }

  add(unit_id: string): void {
    if (unit_id && !this.added.includes(unit_id)) this.added = [...this.added, unit_id];
  }

  drop(unit_id: string): void {
    this.added = this.added.filter((id) => id !== unit_id);
  }

  async acknowledge(id = this.selectedId): Promise<void> {
    if (desk.picture.incident.get(id)?.state === "new") await this.#give(id, "acknowledge");
  }

  async dispatch(): Promise<void> {
    if (this.chosen.length === 0 || !this.mayDispatch) return;
    if (this.added.length > 0 && !this.overrideReason.trim()) {
      this.overrideMissing = true;
      return;
    }
    await this.send(this.selectedId, this.chosen, this.overrideReason.trim());
  }

  async send(id: string, unit_ids: readonly string[], override_reason: string): Promise<void> {
    if (await this.#give(id, "dispatch", { unit_ids, override_reason })) this.#resetChoice();
  }

  async close(disposition: Disposition, note: string, id = this.selectedId): Promise<void> {
    if (await this.#give(id, "close", { disposition, note })) this.closing = false;
  }

  async reopen(): Promise<void> {
    await this.#give(this.selectedId, "reopen");
  }

  async prioritise(priority: number, reason: string): Promise<boolean> {
    return this.#give(this.selectedId, "priority", { priority, reason });
  }

  async note(text: string): Promise<boolean> {
    return this.#give(this.selectedId, "note", { text });
  }

  async recall(unit_id: string): Promise<void> {
    await this.#give(this.selectedId, `units/${encodeURIComponent(unit_id)}/cancel`);
  }

  async tellUnit(unit_id: string, command: string): Promise<void> {
    await desk.command((api) => api.unitCommand(unit_id, command));
  }

  async #give(id: string, command: string, body: unknown = {}): Promise<boolean> {
    if (!id || this.busy) return false;
    this.busy = true;
    try {
      const answer = await desk.command((api) => api.incidentCommand(id, command, body));
      if (answer?.incident && this.detail?.incident.id === id) {
        this.detail = { ...this.detail, incident: answer.incident };
      }
      return answer !== null;
    } finally {
      this.busy = false;
    }
  }

  #askAgain(id: string): void {
    setTimeout(() => {
      const incident = this.incident;
      if (incident?.id === id && this.recommendation === null) void this.recommend(incident);
    }, ASK_AGAIN_MS);
  }

  #resetChoice(): void {
    this.recommendation = null;
    this.unticked = new Set();
    this.added = [];
    this.overrideReason = "";
    this.overrideMissing = false;
    this.armed = false;
    this.closing = false;
  }
}

export const work = new Work();

/** The sources of an incident in words: 3 calls, 1 camera. */
export function sourcesOf(incident: Incident): string {
  const count = (kind: string): number =>
    new Set(
      (incident.links ?? []).filter((link) => link.observation_kind === kind).map((link) => link.source_id),
    ).size;
  const calls = (incident.links ?? []).filter((link) => link.observation_kind === "call").length;
  const parts: string[] = [];
  if (calls) parts.push(t("queue.calls", { n: calls }));
  if (count("video")) parts.push(t("queue.cameras", { n: count("video") }));
  if (count("reading")) parts.push(t("queue.sensors", { n: count("reading") }));
  if (count("device")) parts.push(t("queue.devices", { n: count("device") }));
  if (count("manual")) parts.push(t("queue.by_hand"));
  return parts.join(" · ");
}
