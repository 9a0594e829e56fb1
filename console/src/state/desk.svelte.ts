/** The operator's desk: session, live picture, what is chosen, and commands that are refused without a link. */
import { Api, ApiError, type CommandAnswer } from "../api/api";
import { type LinkState, LiveLink } from "../live/live";
import type { City, LiveMessage, Session, Status } from "../model/types";
import { EMPTY, EventStore, type State } from "../store/store";
import { sayIfKnown } from "../words/words";
import { settings } from "./settings.svelte";
import { t } from "./speech.svelte";

export const TABS = ["operations", "calls", "cameras", "units", "review"] as const;
export type Tab = (typeof TABS)[number];

/**
 * What the console offers to whom. The server decides by its own table (access/policy.py); this one only keeps
 * buttons away that would be refused.
 */
const OFFERED = {
  incidents: ["duty_officer", "dispatcher", "call_taker", "field", "auditor"],
  dispatch: ["duty_officer", "dispatcher"],
  reopen: ["duty_officer"],
  note: ["duty_officer", "dispatcher", "call_taker", "field"],
  calls: ["duty_officer", "dispatcher", "call_taker"],
  handle: ["duty_officer", "call_taker"],
  units: ["duty_officer", "dispatcher", "call_taker", "field", "administrator"],
  review: ["auditor", "administrator"],
  cameras: ["duty_officer", "dispatcher", "administrator", "auditor"],
  look: ["duty_officer", "dispatcher"],
  unmask: ["duty_officer"],
  hold: ["duty_officer"],
  setups: ["administrator", "duty_officer", "auditor"],
  configure: ["administrator"],
} as const satisfies Readonly<Record<string, readonly string[]>>;
export type Right = keyof typeof OFFERED;
/** Who audits does not act, whatever other roles the person has. */
const EXCLUDED: readonly Right[] = ["look", "unmask", "hold", "configure"];

const TAB_RIGHT: Readonly<Record<Tab, Right | null>> = {
  operations: null,
  calls: "calls",
  cameras: "cameras",
  units: "units",
  review: "review",
};

const NOWHERE: City = { name: "", bbox: [-170, -80, 170, 80], center: [0, 0] };

export interface Notice {
  readonly id: number;
  readonly text: string;
  readonly tone: "error" | "info";
}

function oncePerFrame(run: () => void): () => void {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    const go = (): void => {
      if (!waiting) return;
      waiting = false;
      run();
    };
    requestAnimationFrame(go);
    // A hidden page has no frames; its picture must stay right all the same.
    setTimeout(go, 100);
  };
}

export class Desk {
  readonly api = new Api();
  readonly store = new EventStore();

  phase = $state<"starting" | "welcome" | "sign_in" | "work">("starting");
  ended = $state(false);
  session = $state.raw<Session | null>(null);
  picture = $state.raw<State>(EMPTY);
  status = $state.raw<Status | null>(null);
  link = $state.raw<LinkState>({ up: false, lostSince_ms: null, latency_ms: null });
  tab = $state<Tab>("operations");
  notices = $state.raw<readonly Notice[]>([]);
  /** Server time, moving once a second. */
  now_ms = $state(Date.now());
  offset_ms = $state(0);
  /** A place that the map is to show next. */
  goTo = $state.raw<{ readonly lon: number; readonly lat: number } | null>(null);

  readonly city = $derived(this.session?.city ?? NOWHERE);
  readonly simulated = $derived(this.status?.simulated ?? this.session?.simulated ?? false);
  readonly tabs = $derived(
    TABS.filter((tab) => {
      const right = TAB_RIGHT[tab];
      return right === null || this.may(right);
    }),
  );
  readonly lost_s = $derived.by(() => {
    void this.now_ms;
    const since = this.link.lostSince_ms;
    return since === null ? null : Math.max(0, Math.round((performance.now() - since) / 1000));
  });

  #live: LiveLink | null = null;
  #noticeId = 0;

  constructor() {
    const refresh = oncePerFrame(() => {
      this.picture = this.store.state;
    });
    this.store.subscribe(refresh);
  }

  /** Find out who is there: a one-time link in the address, a running session, or nobody. */
  async begin(): Promise<void> {
    setInterval(() => {
      this.now_ms = Date.now() + this.offset_ms;
    }, 1_000);
    if (location.hash.startsWith("#/welcome")) {
      this.phase = "welcome";
      return;
    }
    try {
      this.enter(await this.api.session());
    } catch {
      this.phase = "sign_in";
    }
  }

  /** Whether the person's roles are offered something. */
  may(right: Right): boolean {
    const offered: readonly string[] = OFFERED[right];
    const roles = this.session?.actor.roles ?? [];
    if (EXCLUDED.includes(right) && roles.includes("auditor")) return false;
    return roles.some((role) => offered.includes(role));
  }

  enter(session: Session): void {
    this.session = session;
    this.ended = false;
    if (location.hash.startsWith("#/welcome")) history.replaceState(null, "", "/");
    this.phase = "work";
    this.#live = new LiveLink({
      url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`,
      since: () => this.store.state.seq,
      onMessage: (message) => this.#hear(message),
      onLink: (link) => {
        this.link = link;
      },
      mayRetry: () => this.#stillSignedIn(),
    });
    this.#live.start();
  }

  async signOut(): Promise<void> {
    try {
      await this.api.signOut();
    } catch (error) {
      this.say(error);
      return;
    }
    this.#leave(false);
  }

  /** Give a command. Returns false when it was refused, after telling why. */
  async command(run: (api: Api) => Promise<CommandAnswer>): Promise<CommandAnswer | null> {
    if (!this.link.up) {
      this.notice(t("error.link_down"), "error");
      return null;
    }
    try {
      const answer = await run(this.api);
      this.#learn(answer);
      return answer;
    } catch (error) {
      this.say(error);
      return null;
    }
  }

  /** Show an error as a sentence. */
  say(error: unknown): void {
    if (error instanceof ApiError && error.code === "unauthenticated") this.#leave(true);
    else this.notice(sentence(error), "error");
  }

  notice(text: string, tone: Notice["tone"] = "info"): void {
    this.#noticeId += 1;
    const id = this.#noticeId;
    this.notices = [...this.notices.filter((notice) => notice.text !== text), { id, text, tone }].slice(-3);
    setTimeout(() => this.dismiss(id), tone === "error" ? 9_000 : 4_000);
  }

  dismiss(id: number): void {
    this.notices = this.notices.filter((notice) => notice.id !== id);
  }

  #learn(answer: CommandAnswer): void {
    if (answer.seq === undefined) return;
    if (answer.call) this.store.learn("call", answer.call.id, answer.call, answer.seq);
    if (answer.unit) this.store.learn("unit", answer.unit.id, answer.unit, answer.seq);
    if (answer.assignment) {
      this.store.learn("assignment", answer.assignment.id, answer.assignment, answer.seq);
    }
    if (answer.incident) this.store.learn("incident", answer.incident.id, answer.incident, answer.seq);
    if (answer.setup) this.store.learn("camera_setup", answer.setup.id, answer.setup, answer.seq);
    if (answer.hold) this.store.learn("hold", answer.hold.id, answer.hold, answer.seq);
    for (const assignment of answer.assignments ?? []) {
      this.store.learn("assignment", assignment.id, assignment, answer.seq);
    }
  }

  #hear(message: LiveMessage): void {
    if (message.type === "snapshot") this.store.snapshot(message);
    else if (message.type === "change") this.store.change(message);
    else if (message.type === "positions") this.store.positions(message.fixes);
    else if (message.type === "status") {
      this.status = message;
      this.offset_ms = Date.parse(message.now) - Date.now();
    }
  }

  async #stillSignedIn(): Promise<boolean> {
    try {
      await this.api.session();
      return true;
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== "unauthenticated") return true;
      this.#leave(true);
      return false;
    }
  }

  #leave(ended: boolean): void {
    this.#live?.stop();
    this.#live = null;
    this.store.clear();
    this.status = null;
    this.session = null;
    this.ended = ended;
    this.tab = "operations";
    this.phase = "sign_in";
    delete document.documentElement.dataset.ready;
  }
}

/** The catalogue's sentence for the kind of error, with the server's own words behind it. */
export function sentence(error: unknown): string {
  if (!(error instanceof ApiError)) return t("error.internal");
  const known = sayIfKnown(settings.language, `error.${error.code}`) ?? t("error.internal");
  if (!error.message) return known;
  return settings.language === "en" ? capital(error.message) : `${known} (${error.message})`;
}

function capital(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

export const desk = new Desk();
