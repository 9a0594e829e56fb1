/** Looks through cameras: on what ground, which tiles are live, which without masks. */
import type { Ground } from "../model/camera";
import { type Drawn, Load, liveMost } from "../video/load";
import { Slots } from "../video/slots";
import { desk } from "./desk.svelte";
import { byWords, t } from "./speech.svelte";
import { work } from "./work.svelte";

export const WALL_SIZES = [4, 9, 16] as const;
export type WallSize = (typeof WALL_SIZES)[number];

export const VIEWS = ["wall", "replay", "setups"] as const;
export type View = (typeof VIEWS)[number];

const KEPT_AS = "safecity.wall";
const JUDGE_MS = 2_000;
/** Stills that are fetched at the same time; each costs the server a decoded and masked picture. */
const STILLS_AT_ONCE = 2;

function keptSize(): WallSize {
  try {
    const kept = Number(localStorage.getItem(KEPT_AS));
    return WALL_SIZES.find((size) => size === kept) ?? 4;
  } catch {
    return 4;
  }
}

export class Looks {
  readonly stills = new Slots(STILLS_AT_ONCE);
  readonly most = liveMost(navigator.hardwareConcurrency);

  view = $state<View>("wall");
  /** Whether a ground for looking was given; nothing is fetched before. */
  open = $state(false);
  incidentId = $state("");
  purpose = $state("");
  size = $state<WallSize>(keptSize());
  page = $state(0);
  chosenId = $state("");
  live = $state.raw<readonly string[]>([]);
  /** Cameras shown without masks, with the reason for each. */
  unmasked = $state.raw<ReadonlyMap<string, string>>(new Map());
  readonly #purposes = new Map<string, string>();
  readonly #videos = new Map<string, HTMLVideoElement>();
  readonly #load = new Load();

  readonly ground = $derived.by((): Ground => ({ incident_id: this.incidentId, purpose: this.purpose }));
  readonly cameras = $derived(
    Array.from(desk.picture.camera.values()).sort((a, b) => byWords(a.name, b.name)),
  );
  readonly pages = $derived(Math.max(1, Math.ceil(this.cameras.length / this.size)));
  readonly shown = $derived.by(() => {
    const page = Math.min(this.page, this.pages - 1);
    return this.cameras.slice(page * this.size, (page + 1) * this.size);
  });
  readonly allLive = $derived(
    this.shown.length > 0 && this.shown.slice(0, this.most).every((camera) => this.live.includes(camera.id)),
  );

  constructor() {
    setInterval(() => this.#judge(), JUDGE_MS);
    // Who signs in next has given no ground yet.
    $effect.root(() => {
      $effect(() => {
        if (desk.session !== null) return;
        this.#purposes.clear();
        this.chosenId = "";
        this.end();
      });
    });
  }

  /** The purpose that was given for an incident before, so that it is asked once. */
  purposeOf(incident_id: string): string {
    return this.#purposes.get(incident_id) ?? t("cameras.purpose_default");
  }

  begin(incident_id: string, purpose: string): void {
    if (!incident_id || !purpose.trim()) return;
    this.#purposes.set(incident_id, purpose.trim());
    this.incidentId = incident_id;
    this.purpose = purpose.trim();
    this.open = true;
  }

  /** Begin for an incident without asking again. */
  beginFor(incident_id: string): void {
    if (this.open && this.incidentId === incident_id) return;
    this.unmasked = new Map();
    this.begin(incident_id, this.purposeOf(incident_id));
  }

  end(): void {
    this.open = false;
    this.live = [];
    this.unmasked = new Map();
  }

  /** The ground of one camera: its own reason when it is shown without masks. */
  groundOf(camera_id: string): Ground {
    const reason = this.unmasked.get(camera_id);
    return reason ? { ...this.ground, purpose: reason, unmasked: true } : this.ground;
  }

  resize(size: WallSize): void {
    const first = this.shown[0];
    this.size = size;
    const at = first ? this.cameras.indexOf(first) : 0;
    this.page = Math.floor(Math.max(0, at) / size);
    this.#onlyShown();
    try {
      localStorage.setItem(KEPT_AS, String(size));
    } catch {
      // A browser that keeps nothing still shows everything.
    }
  }

  turn(steps: number): void {
    this.page = (Math.min(this.page, this.pages - 1) + steps + this.pages) % this.pages;
    this.#onlyShown();
  }

  toggle(camera_id: string): void {
    if (!this.open) return;
    if (this.live.includes(camera_id)) {
      this.live = this.live.filter((id) => id !== camera_id);
      this.mask(camera_id);
      return;
    }
    // The longest running one makes room: what was chosen last is what matters now.
    const kept = this.live.slice(Math.max(0, this.live.length + 1 - this.most));
    this.live = [...kept, camera_id];
  }

  toggleAll(): void {
    if (!this.open) return;
    if (this.allLive) {
      this.live = [];
      this.unmasked = new Map();
      return;
    }
    this.live = this.shown.slice(0, this.most).map((camera) => camera.id);
    if (this.shown.length > this.most) desk.notice(t("wall.most", { n: this.most }));
  }

  unmask(camera_id: string, reason: string): void {
    if (!desk.may("unmask") || !reason.trim()) return;
    this.unmasked = new Map(this.unmasked).set(camera_id, reason.trim());
    if (!this.live.includes(camera_id)) this.toggle(camera_id);
  }

  mask(camera_id: string): void {
    if (!this.unmasked.has(camera_id)) return;
    const next = new Map(this.unmasked);
    next.delete(camera_id);
    this.unmasked = next;
  }

  /** Watch how a live picture is drawn; returns what ends it. */
  watch(camera_id: string, video: HTMLVideoElement): () => void {
    this.#videos.set(camera_id, video);
    return () => {
      if (this.#videos.get(camera_id) === video) this.#videos.delete(camera_id);
    };
  }

  /** The incident to begin with: the chosen one when it is open, else the most urgent. */
  firstIncident(): string {
    if (desk.picture.incident.has(this.incidentId)) return this.incidentId;
    return desk.picture.incident.has(work.selectedId) ? work.selectedId : (work.queue[0]?.id ?? "");
  }

  #onlyShown(): void {
    const ids = new Set(this.shown.map((camera) => camera.id));
    this.live = this.live.filter((id) => ids.has(id));
    this.unmasked = new Map([...this.unmasked].filter(([id]) => ids.has(id)));
  }

  #judge(): void {
    const drawn = new Map<string, Drawn>();
    for (const [id, video] of this.#videos) {
      const quality = video.getVideoPlaybackQuality();
      drawn.set(id, { dropped: quality.droppedVideoFrames, total: quality.totalVideoFrames });
    }
    if (document.hidden || !this.#load.judge(drawn) || this.live.length < 2) return;
    const victim = this.live.find((id) => id !== this.chosenId && !this.unmasked.has(id));
    if (!victim) return;
    this.live = this.live.filter((id) => id !== victim);
    desk.notice(t("wall.slow", { name: desk.picture.camera.get(victim)?.name ?? "" }));
  }
}

export const looks = new Looks();
