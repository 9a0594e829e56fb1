/** The recordings of one camera on the screen: the moment, the strip, pictures while scrubbing, holds. */
import type { Still } from "../api/cameras";
import type { Ground, Hold } from "../model/camera";
import type { Incident } from "../model/types";
import { MseScreen, Unplayable } from "../video/mse";
import { type Moment, Playback, SPEEDS, type Speed } from "../video/playback";
import { Recording } from "../video/recording";
import { Scrubber } from "../video/scrub";
import * as strip from "../video/strip";
import { desk, sentence } from "./desk.svelte";
import { looks } from "./looks.svelte";
import { t } from "./speech.svelte";

/** Before what was reported, since a report comes after what it is about. */
const BEFORE_MS = 60_000;
const REFRESH_MS = 10_000;
const PAUSE_MS = 250;
/** A picture farther from the moment than this is of another moment: nothing was recorded there. */
const ELSEWHERE_MS = 3_000;
/** Half a step beyond the newest picture there is none yet: the newest file is still being written. */
const LIVE_EDGE_MS = 3_000;

export class Replay {
  cameraId = $state("");
  ground = $state.raw<Ground>({ incident_id: "", purpose: "" });
  at_ms = $state(0);
  speed = $state<Speed>(1);
  live = $state(false);
  moment = $state.raw<Moment>({ phase: "paused", at_ms: 0, gap: null, coarse: "", error: null });
  window_s = $state<strip.Window_s>(3_600);
  view = $state.raw<strip.Range>({ start_ms: 0, end_ms: 1 });
  strip = $state.raw<strip.Strip>(strip.NO_STRIP);
  stripTrouble = $state("");
  /** A single picture above the film, while scrubbing, stepping or before film comes. */
  picture = $state("");
  /** When that picture was taken, which is elsewhere when nothing was recorded at the moment. */
  pictureAt_ms = $state<number | null>(null);
  trouble = $state("");
  unplayable = $state(false);
  dragging = $state(false);
  /** The range that is marked for a hold. */
  from_ms = $state<number | null>(null);
  to_ms = $state<number | null>(null);
  holding = $state(false);

  readonly playing = $derived(
    ["playing", "loading", "ended"].includes(this.moment.phase) &&
      !this.live &&
      this.moment.phase !== "paused",
  );
  readonly shown_ms = $derived(this.picture && this.pictureAt_ms !== null ? this.pictureAt_ms : this.at_ms);
  readonly elsewhere = $derived(Math.abs(this.shown_ms - this.at_ms) > ELSEWHERE_MS);
  readonly camera = $derived(desk.picture.camera.get(this.cameraId));

  #playback: Playback | null = null;
  #recording: Recording | null = null;
  #scrubber: Scrubber | null = null;
  #asked = 0;
  #pictureAt = "";
  #wait: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    // A look that ended is not taken up again on the old ground.
    $effect.root(() => {
      $effect(() => {
        if (!looks.open) this.#forget();
      });
    });
  }

  /** Show a camera's recordings from a moment on, by default a minute ago, on the ground of the wall. */
  show(camera_id: string, at_ms = this.now_ms - BEFORE_MS): void {
    this.ground = looks.ground;
    this.#begin(camera_id, at_ms);
  }

  /** From an incident: a minute before it happened, through the camera that is nearest. */
  showIncident(incident: Incident, camera_id: string): void {
    looks.beginFor(incident.id);
    this.ground = looks.ground;
    this.#begin(camera_id, Date.parse(incident.event_time) - BEFORE_MS);
    this.play();
  }

  get now_ms(): number {
    return Date.now() + desk.offset_ms;
  }

  /** Take the video element; returns what ends it. Called again when the camera or the ground changes. */
  attach(video: HTMLVideoElement): () => void {
    const recording = new Recording(desk.api.cameras, this.cameraId, this.ground);
    const playback = new Playback({
      film: recording,
      screen: new MseScreen(video),
      onMoment: (moment) => this.#hear(moment),
    });
    this.#recording = recording;
    this.#playback = playback;
    this.#scrubber = new Scrubber(
      (at_ms) => recording.frame(new Date(at_ms).toISOString(), 0),
      (still) => this.#showPicture(still, false),
      (error) => this.#fail(error),
    );
    playback.setSpeed(this.speed);
    playback.seek(this.at_ms);
    if (this.#wanted) playback.play();
    else this.#scrubber.ask(this.at_ms);
    return () => {
      playback.close();
      this.#scrubber?.stop();
      this.#playback = null;
      this.#recording = null;
      this.#setPicture("");
    };
  }

  #wanted = false;

  play(): void {
    if (this.live) return;
    this.#wanted = true;
    this.trouble = "";
    this.unplayable = false;
    this.#playback?.play();
  }

  pause(): void {
    this.#wanted = false;
    this.#playback?.pause();
  }

  toggle(): void {
    if (this.playing) this.pause();
    else this.play();
  }

  /** Go to a moment; its picture shows at once, the film follows when it plays. */
  seek(at_ms: number): void {
    this.live = false;
    this.trouble = "";
    this.at_ms = Math.min(at_ms, this.now_ms - LIVE_EDGE_MS);
    this.#keepInView();
    this.#playback?.seek(this.at_ms);
    if (!this.#wanted) this.#scrubber?.ask(this.at_ms);
  }

  /** The hand is on the strip: pictures only, the film waits. */
  drag(at_ms: number): void {
    this.live = false;
    this.dragging = true;
    this.trouble = "";
    this.at_ms = Math.min(at_ms, this.now_ms - LIVE_EDGE_MS);
    this.#playback?.pause();
    this.#scrubber?.ask(this.at_ms);
  }

  drop(): void {
    if (!this.dragging) return;
    this.dragging = false;
    this.#playback?.seek(this.at_ms);
    if (this.#wanted) this.#playback?.play();
    this.#keepInView();
  }

  jump(by_s: number): void {
    this.seek(this.at_ms + by_s * 1000);
  }

  async step(pictures: number): Promise<void> {
    if (this.live || !this.#recording) return;
    this.pause();
    this.#asked += 1;
    const asked = this.#asked;
    try {
      // From the shown picture in the server's own words: rounded, the next would be the same again.
      const known = this.picture !== "" && this.pictureAt_ms === this.at_ms ? this.#pictureAt : "";
      const still = await this.#recording.frame(known || new Date(this.at_ms).toISOString(), pictures);
      if (asked !== this.#asked) return;
      this.#showPicture(still, true);
      this.#playback?.seek(this.at_ms);
    } catch (error) {
      this.#fail(error);
    }
  }

  faster(steps: number): void {
    const at = SPEEDS.indexOf(this.speed) + steps;
    const speed = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at))];
    if (speed) this.setSpeed(speed);
  }

  setSpeed(speed: Speed): void {
    this.speed = speed;
    this.#playback?.setSpeed(speed);
  }

  toEvent(steps: 1 | -1): void {
    const tick = (steps > 0 ? strip.nextEvent : strip.previousEvent)(this.strip, this.at_ms);
    if (tick) this.seek(tick.at_ms);
    else desk.notice(t(steps > 0 ? "replay.no_next_event" : "replay.no_previous_event"));
  }

  goLive(): void {
    this.pause();
    this.#setPicture("");
    this.live = true;
    this.at_ms = this.now_ms;
    this.#keepInView();
  }

  zoom(window_s: strip.Window_s): void {
    this.window_s = window_s;
    this.view = strip.around(this.at_ms, window_s);
    this.refreshSoon();
  }

  mark(edge: "from" | "to"): void {
    if (!desk.may("hold")) return;
    if (edge === "from") this.from_ms = this.at_ms;
    else this.to_ms = this.at_ms;
  }

  async hold(reason: string): Promise<boolean> {
    const [a, b] = [this.from_ms, this.to_ms];
    if (a === null || b === null || a === b) return false;
    const range = { start_ms: Math.min(a, b), end_ms: Math.max(a, b) };
    const done = await desk.command((api) =>
      api.cameras.hold(this.cameraId, range, reason, this.ground.incident_id),
    );
    if (!done) return false;
    this.holding = false;
    this.from_ms = null;
    this.to_ms = null;
    desk.notice(t("hold.done"));
    await this.refresh();
    return true;
  }

  async release(hold: Hold): Promise<void> {
    if (await desk.command((api) => api.cameras.release(hold.id))) await this.refresh();
  }

  refreshSoon(): void {
    clearTimeout(this.#wait);
    this.#wait = setTimeout(() => void this.refresh(), PAUSE_MS);
  }

  /** Read the strip again for what is in view. */
  async refresh(): Promise<void> {
    const camera_id = this.cameraId;
    if (!camera_id) return;
    const { start_ms, end_ms } = this.view;
    try {
      const told = await desk.api.cameras.timeline(camera_id, start_ms, end_ms);
      if (camera_id !== this.cameraId) return;
      this.strip = strip.stripOf(told);
      this.stripTrouble = "";
    } catch (error) {
      this.stripTrouble = sentence(error);
    }
  }

  /** Keep the strip true while it is looked at; returns what ends it. */
  keepFresh(): () => void {
    const ticker = setInterval(() => {
      if (this.live) this.at_ms = this.now_ms;
      if (this.view.end_ms > this.now_ms - REFRESH_MS && !document.hidden) void this.refresh();
    }, REFRESH_MS);
    return () => clearInterval(ticker);
  }

  #forget(): void {
    this.#wanted = false;
    this.cameraId = "";
    this.ground = { incident_id: "", purpose: "" };
    this.strip = strip.NO_STRIP;
    this.live = false;
    this.holding = false;
    this.trouble = "";
  }

  #begin(camera_id: string, at_ms: number): void {
    const same = camera_id === this.cameraId;
    desk.tab = "cameras";
    looks.view = "replay";
    this.cameraId = camera_id;
    this.live = false;
    this.trouble = "";
    this.unplayable = false;
    this.strip = strip.NO_STRIP;
    this.from_ms = null;
    this.to_ms = null;
    this.at_ms = at_ms;
    this.view = strip.around(at_ms, this.window_s);
    this.refreshSoon();
    // Another camera is another look, which begins when its screen is there.
    if (same) this.#playback?.seek(at_ms);
  }

  #hear(moment: Moment): void {
    this.moment = moment;
    if (moment.phase === "playing" && !this.dragging) {
      if (moment.at_ms !== this.at_ms) this.#setPicture("");
      this.at_ms = moment.at_ms;
      this.#keepInView();
    } else if (moment.phase === "failed") {
      this.#wanted = false;
      this.#fail(moment.error);
    }
  }

  #fail(error: unknown): void {
    this.unplayable = error instanceof Unplayable;
    this.trouble = this.unplayable ? t("replay.unplayable") : sentence(error);
    if (this.unplayable && this.ground.unmasked) this.trouble = t("video.unsupported_unmasked");
  }

  #showPicture(still: Still, moves: boolean): void {
    this.#setPicture(URL.createObjectURL(still.picture));
    this.pictureAt_ms = still.at_ms;
    this.#pictureAt = still.at;
    this.trouble = "";
    if (moves && still.at_ms !== null) {
      this.at_ms = still.at_ms;
      this.#keepInView();
    }
  }

  #setPicture(url: string): void {
    if (this.picture) URL.revokeObjectURL(this.picture);
    this.picture = url;
  }

  #keepInView(): void {
    const view = strip.follow(this.view, this.at_ms);
    if (view === this.view) return;
    this.view = view;
    this.refreshSoon();
  }
}

export const replay = new Replay();
