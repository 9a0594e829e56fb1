/** The call-taker's side: the queue of calls and the card that is being filled in. */
import type { Call, FoundPlace, IncidentType, Place } from "../model/types";
import { desk } from "./desk.svelte";
import { placeOf, t } from "./speech.svelte";
import { work } from "./work.svelte";

const RANK: Readonly<Record<string, number>> = { ringing: 0, abandoned: 1, claimed: 2, taken: 3 };

/** Ringing first, the longest waiting on top; then those that hung up, then those in work. */
export function callsInOrder(a: Call, b: Call): number {
  return (RANK[a.state] ?? 9) - (RANK[b.state] ?? 9) || a.received_at.localeCompare(b.received_at);
}

/** What a typed-in report is called until it is a call. */
export const TYPED = "typed";

export class Phones {
  readonly #open = $derived(desk.picture.call);
  readonly queue = $derived(Array.from(this.#open.values()).sort(callsInOrder));
  readonly waiting = $derived(this.queue.filter((call) => call.state === "ringing").length);
  selectedId = $state("");
  type = $state<IncidentType | null>(null);
  place = $state.raw<Place | null>(null);
  notes = $state("");
  callerNumber = $state("");
  callerWords = $state("");
  words = $state("");
  found = $state.raw<readonly FoundPlace[]>([]);
  missing = $state<"" | "type" | "place">("");
  busy = $state(false);

  readonly call = $derived(this.#open.get(this.selectedId) ?? null);
  readonly typing = $derived(this.selectedId === TYPED);
  /** Whether the card is open for writing by this operator. */
  readonly writing = $derived(
    this.typing ||
      (this.call?.state === "taken" && [desk.session?.actor.id, ""].includes(this.call.claimed_by ?? "")),
  );

  select(id: string): void {
    if (id === this.selectedId) return;
    this.selectedId = id;
    const call = this.call;
    this.type = call?.type ?? null;
    this.place = call?.place ?? null;
    this.notes = call?.notes ?? "";
    this.callerNumber = "";
    this.callerWords = "";
    this.words = "";
    this.found = [];
    this.missing = "";
  }

  move(steps: number): void {
    const at = this.queue.findIndex((call) => call.id === this.selectedId);
    const next = at < 0 ? 0 : Math.min(this.queue.length - 1, Math.max(0, at + steps));
    const call = this.queue[next];
    if (call) this.select(call.id);
  }

  async tell(command: string, body: unknown = {}): Promise<boolean> {
    const id = this.selectedId;
    if (!id || this.typing || this.busy) return false;
    this.busy = true;
    try {
      return (await desk.command((api) => api.callCommand(id, command, body))) !== null;
    } finally {
      this.busy = false;
    }
  }

  async search(words: string): Promise<void> {
    this.words = words;
    if (words.trim().length < 2) {
      this.found = [];
      return;
    }
    try {
      const found = await desk.api.search(words);
      if (words === this.words) this.found = found.slice(0, 8);
    } catch (error) {
      desk.say(error);
    }
  }

  choose(place: FoundPlace): void {
    this.pick({ lon: place.lon, lat: place.lat, text: place.text });
  }

  /** Take a place from the map or the list. */
  pick(place: Place): void {
    this.place = { ...place, text: place.text || t("calls.place_on_map") };
    this.words = "";
    this.found = [];
    if (this.missing === "place") this.missing = "";
  }

  async submit(): Promise<void> {
    this.missing = this.type === null ? "type" : this.place === null ? "place" : "";
    if (this.missing || this.busy) return;
    const report = { type: this.type, place: this.place, notes: this.notes };
    const sent = this.typing ? await this.#submitTyped(report) : await this.tell("submit", report);
    if (!sent) return;
    desk.notice(`${t("call_state.submitted")}: ${placeOf(this.place)}`);
    this.select("");
    const next = this.queue[0];
    if (next?.state === "ringing") this.select(next.id);
  }

  async #submitTyped(report: object): Promise<boolean> {
    this.busy = true;
    try {
      const answer = await desk.command((api) =>
        api.typedCall({ ...report, caller_number: this.callerNumber, caller_words: this.callerWords }),
      );
      if (answer?.incident) work.select(answer.incident.id);
      return answer !== null;
    } finally {
      this.busy = false;
    }
  }
}

export const phones = new Phones();
