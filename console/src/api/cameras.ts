/** Looks through cameras, their recordings and their administration. */
import type {
  CameraSetup,
  CameraTimeline,
  DescribedCamera,
  DiscoveredCamera,
  Ground,
  Hold,
  PlaybackToken,
  Point,
  ProbeResult,
  Transport,
} from "../model/camera";
import type { Http } from "./http";

/** Finding and trying cameras waits for devices, which are slower than servers. */
const DEVICE_WITHIN_MS = 30_000;
const FILM_WITHIN_MS = 30_000;

export interface Account {
  readonly user: string;
  readonly password: string;
}

export interface Probe extends Account {
  readonly url: string;
  readonly transport: Transport;
}

export interface SetupAnswer {
  readonly seq?: number;
  readonly setup?: CameraSetup;
}

/** All setups, the version of each, and since when which has an account. */
export interface SetupList {
  readonly setups: readonly CameraSetup[];
  readonly seqs: Readonly<Record<string, number>>;
  readonly accounts: Readonly<Record<string, string>>;
}

/** Picture density at one place, in pixels a metre, and what it is good for by IEC 62676-4. */
export interface DensityPlace {
  readonly at: Point;
  readonly px_per_m: number;
  readonly level: string;
}

export interface Density {
  readonly places: readonly DensityPlace[];
  readonly least_px_per_m: number;
  readonly most_px_per_m: number;
  readonly warning?: string;
}

export interface HoldAnswer {
  readonly seq?: number;
  readonly hold?: Hold;
}

/** A picture and when it was taken; null when the server did not say. */
export interface Still {
  readonly picture: Blob;
  readonly at_ms: number | null;
  /** The same in the server's own words, which are finer than a millisecond. */
  readonly at: string;
}

/** The query of a look: incident and purpose, and whether masks are to be left out. */
export function lookQuery(ground: Ground): string {
  const query = new URLSearchParams({ purpose: ground.purpose });
  if (ground.incident_id) query.set("incident_id", ground.incident_id);
  if (ground.unmasked) query.set("unmasked", "1");
  return query.toString();
}

export function livePath(camera_id: string, ground: Ground): string {
  return `${one(camera_id)}/live?${lookQuery(ground)}`;
}

export function snapshotPath(camera_id: string, id: string, ground: Ground): string {
  return `/api/snapshots/${encodeURIComponent(camera_id)}/${encodeURIComponent(id)}?${lookQuery(ground)}`;
}

export function setupStillPath(camera_id: string, purpose: string): string {
  return `${one(camera_id)}/setup-still?${new URLSearchParams({ purpose })}`;
}

function one(camera_id: string): string {
  return `/api/cameras/${encodeURIComponent(camera_id)}`;
}

export class CameraApi {
  constructor(private readonly http: Http) {}

  async still(camera_id: string, ground: Ground, signal?: AbortSignal): Promise<Still> {
    return stillOf(await this.http.get(`${one(camera_id)}/still?${lookQuery(ground)}`, undefined, signal));
  }

  async picture(path: string, signal?: AbortSignal): Promise<Still> {
    return stillOf(await this.http.get(path, undefined, signal));
  }

  timeline(camera_id: string, from_ms: number, to_ms: number): Promise<CameraTimeline> {
    const query = new URLSearchParams({
      from: new Date(from_ms).toISOString(),
      to: new Date(to_ms).toISOString(),
    });
    return this.http.call("GET", `${one(camera_id)}/timeline?${query}`);
  }

  /** Begin to look at recordings: the token stands for the look, which is written down once. */
  playback(camera_id: string, ground: Ground): Promise<PlaybackToken> {
    const { purpose, incident_id, unmasked = false } = ground;
    return this.http.call("POST", `${one(camera_id)}/playback`, { purpose, incident_id, unmasked });
  }

  async chunk(token: string, at: string, speed: number, signal?: AbortSignal): Promise<ArrayBuffer> {
    const query = new URLSearchParams({ at, speed: String(speed) });
    const path = `/api/playback/${encodeURIComponent(token)}/chunk?${query}`;
    return (await this.http.get(path, FILM_WITHIN_MS, signal)).arrayBuffer();
  }

  /** One picture of the recording; `step` counts pictures on from the moment, backwards when negative. */
  async frame(token: string, at: string, step: number, signal?: AbortSignal): Promise<Still> {
    const query = new URLSearchParams({ at, step: String(step) });
    const path = `/api/playback/${encodeURIComponent(token)}/frame?${query}`;
    return stillOf(await this.http.get(path, FILM_WITHIN_MS, signal));
  }

  hold(
    camera_id: string,
    range: { start_ms: number; end_ms: number },
    reason: string,
    incident_id: string,
  ): Promise<HoldAnswer> {
    return this.http.call("POST", `${one(camera_id)}/holds`, {
      start: new Date(range.start_ms).toISOString(),
      end: new Date(range.end_ms).toISOString(),
      reason,
      incident_id,
    });
  }

  release(hold_id: string): Promise<HoldAnswer> {
    return this.http.call("DELETE", `/api/holds/${encodeURIComponent(hold_id)}`);
  }

  setups(): Promise<SetupList> {
    return this.http.call("GET", "/api/camera-setups");
  }

  add(setup: CameraSetup, account: Account): Promise<SetupAnswer> {
    return this.http.call("POST", "/api/cameras", { setup, ...account });
  }

  /** `seq`: the version that was edited; a newer one is not overwritten. */
  save(setup: CameraSetup, seq?: number): Promise<SetupAnswer> {
    return this.http.call("PUT", `${one(setup.id)}/setup`, { setup, ...(seq ? { seq } : {}) });
  }

  /** Passwords go in and never come out. */
  setAccount(camera_id: string, account: Account): Promise<SetupAnswer> {
    return this.http.call("PUT", `${one(camera_id)}/account`, account);
  }

  remove(camera_id: string): Promise<SetupAnswer> {
    return this.http.call("DELETE", one(camera_id));
  }

  async discover(): Promise<readonly DiscoveredCamera[]> {
    const answer = await this.http.call<
      readonly DiscoveredCamera[] | { cameras?: readonly DiscoveredCamera[] }
    >("POST", "/api/cameras/discover", {}, DEVICE_WITHIN_MS);
    return Array.isArray(answer)
      ? answer
      : ((answer as { cameras?: readonly DiscoveredCamera[] }).cameras ?? []);
  }

  probe(what: Probe): Promise<ProbeResult> {
    return this.http.call("POST", "/api/cameras/probe", what, DEVICE_WITHIN_MS);
  }

  /** Ask a camera by ONVIF for its streams. */
  describe(onvif_url: string, account: Account): Promise<DescribedCamera> {
    return this.http.call("POST", "/api/cameras/describe", { onvif_url, ...account }, DEVICE_WITHIN_MS);
  }

  density(camera_id: string): Promise<Density> {
    return this.http.call("GET", `${one(camera_id)}/density`);
  }
}

async function stillOf(response: Response): Promise<Still> {
  const at = response.headers.get("x-frame-time") ?? "";
  const told = Date.parse(at);
  return { picture: await response.blob(), at, at_ms: Number.isFinite(told) ? told : null };
}
