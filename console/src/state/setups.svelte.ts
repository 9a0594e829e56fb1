/** The cameras as they are set up: the list with versions, the one in hand, commands on them. */
import type { Account, Probe, SetupList } from "../api/cameras";
import { ApiError } from "../api/http";
import type { CameraSetup, DescribedCamera, DiscoveredCamera, ProbeResult } from "../model/camera";
import { desk } from "./desk.svelte";
import { t } from "./speech.svelte";

const NOTHING: SetupList = { setups: [], seqs: {}, accounts: {} };
const SOON_MS = 300;

export type Hand = "none" | "add" | "edit" | "rules";

export class Setups {
  list = $state.raw<SetupList>(NOTHING);
  loaded = $state(false);
  hand = $state<Hand>("none");
  /** The setup in hand as it was read, and its version. */
  base = $state.raw<CameraSetup | null>(null);
  seq = $state(0);
  busy = $state(false);
  /** Somebody else saved first; nothing was overwritten. */
  conflict = $state(false);
  /** A found camera that the form begins with. */
  suggestion = $state.raw<DiscoveredCamera | null>(null);
  found = $state.raw<readonly DiscoveredCamera[] | null>(null);
  discovering = $state(false);

  readonly changedMeanwhile = $derived(
    this.conflict || (this.base !== null && (this.list.seqs[this.base.id] ?? this.seq) !== this.seq),
  );
  #wait: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    $effect.root(() => {
      $effect(() => {
        if (desk.session !== null) return;
        this.list = NOTHING;
        this.loaded = false;
        this.found = null;
        this.leave();
      });
    });
  }

  async load(): Promise<void> {
    try {
      this.list = await desk.api.cameras.setups();
      this.loaded = true;
    } catch (error) {
      desk.say(error);
    }
  }

  /** The feed told of a change. */
  loadSoon(): void {
    clearTimeout(this.#wait);
    this.#wait = setTimeout(() => void this.load(), SOON_MS);
  }

  take(hand: Hand, setup: CameraSetup | null = null): void {
    this.hand = hand;
    this.base = setup;
    this.seq = setup ? (this.list.seqs[setup.id] ?? 0) : 0;
    this.conflict = false;
    this.suggestion = null;
  }

  leave(): void {
    this.take("none");
  }

  /** Read what somebody else saved, and begin from there. */
  async reload(): Promise<void> {
    const id = this.base?.id;
    await this.load();
    const fresh = this.list.setups.find((setup) => setup.id === id);
    if (fresh) this.take(this.hand, fresh);
    else this.leave();
  }

  add(setup: CameraSetup, account: Account): Promise<boolean> {
    return this.#give(() => desk.api.cameras.add(setup, account));
  }

  /** Save over the version that was read; false when it was refused, `conflict` says whether by another's change. */
  save(setup: CameraSetup): Promise<boolean> {
    return this.#give(() => desk.api.cameras.save(setup, this.seq));
  }

  setAccount(camera_id: string, account: Account): Promise<boolean> {
    return this.#give(() => desk.api.cameras.setAccount(camera_id, account));
  }

  /** Switch a camera off or on as it is in the list. */
  enable(setup: CameraSetup, enabled: boolean): Promise<boolean> {
    return this.#give(() => desk.api.cameras.save({ ...setup, enabled }, this.list.seqs[setup.id]));
  }

  remove(camera_id: string): Promise<boolean> {
    return this.#give(() => desk.api.cameras.remove(camera_id));
  }

  async discover(): Promise<void> {
    this.discovering = true;
    try {
      this.found = await desk.api.cameras.discover();
    } catch (error) {
      desk.say(error);
    } finally {
      this.discovering = false;
    }
  }

  async probe(what: Probe): Promise<ProbeResult | null> {
    try {
      return await desk.api.cameras.probe(what);
    } catch (error) {
      desk.say(error);
      return null;
    }
  }

  async describe(onvif_url: string, account: Account): Promise<DescribedCamera | null> {
    try {
      return await desk.api.cameras.describe(onvif_url, account);
    } catch (error) {
      desk.say(error);
      return null;
    }
  }

  async #give(run: () => Promise<{ setup?: CameraSetup; seq?: number }>): Promise<boolean> {
    if (this.busy) return false;
    if (!desk.link.up) {
      desk.notice(t("error.link_down"), "error");
      return false;
    }
    this.busy = true;
    try {
      const answer = await run();
      if (answer.setup && this.base?.id === answer.setup.id) {
        this.base = answer.setup;
        this.seq = answer.seq ?? this.seq;
        this.conflict = false;
      }
      await this.load();
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.code === "conflict" && this.base) this.conflict = true;
      desk.say(error);
      return false;
    } finally {
      this.busy = false;
    }
  }
}

export const setups = new Setups();

/** A camera's id from its name: small Latin letters, figures and hyphens; never one that is taken. */
export function idFrom(name: string, taken: readonly string[]): string {
  const plain =
    name
      .normalize("NFKD")
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, "")
      .slice(0, 48) || "camera";
  let id = plain;
  for (let n = 2; taken.includes(id); n += 1) id = `${plain}-${n}`;
  return id;
}
