import { describe, expect, it } from "vitest";
import { CameraApi, livePath, lookQuery, snapshotPath } from "../src/api/cameras";
import { Http } from "../src/api/http";
import type { Alarm } from "../src/model/types";
import { Slots } from "../src/video/slots";
import { snapshotOf } from "../src/video/snapshots";

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly headers: Record<string, string>;
}

function server(answer: () => Response = () => Response.json({})): { asked: Asked[]; api: CameraApi } {
  const asked: Asked[] = [];
  const fetch = async (path: string, init: RequestInit): Promise<Response> => {
    const body = typeof init.body === "string" ? JSON.parse(init.body) : undefined;
    asked.push({ method: init.method ?? "", path, body, headers: init.headers as Record<string, string> });
    return answer();
  };
  const http = new Http(fetch as typeof globalThis.fetch);
  http.keepToken("csrf");
  return { asked, api: new CameraApi(http) };
}

const SETUP = { id: "cam 1", name: "One", place: { lon: 1, lat: 2 }, url: "rtsp://c/1" };

describe("looks", () => {
  it("say their ground, and ask for the bare picture only when it is meant", () => {
    expect(lookQuery({ incident_id: "i", purpose: "why not" })).toBe("purpose=why+not&incident_id=i");
    expect(livePath("cam/1", { incident_id: "i", purpose: "p", unmasked: true })).toBe(
      "/api/cameras/cam%2F1/live?purpose=p&incident_id=i&unmasked=1",
    );
    expect(snapshotPath("c", "s", { incident_id: "i", purpose: "p" })).not.toContain("unmasked");
  });

  it("know when a still was taken if the server says it", async () => {
    const told = server(() => new Response("x", { headers: { "X-Frame-Time": "2026-11-22T10:00:00Z" } }));
    const still = await told.api.still("c", { incident_id: "i", purpose: "p" });
    expect(still.at_ms).toBe(Date.parse("2026-11-22T10:00:00Z"));
    const silent = server(() => new Response("x"));
    expect((await silent.api.still("c", { incident_id: "i", purpose: "p" })).at_ms).toBeNull();
  });
});

describe("camera administration", () => {
  it("names the version that was edited", async () => {
    const { asked, api } = server();
    await api.save(SETUP, 41);
    expect(asked[0]).toMatchObject({
      method: "PUT",
      path: "/api/cameras/cam%201/setup",
      body: { setup: SETUP, seq: 41 },
    });
    expect(asked[0]?.headers["x-csrf-token"]).toBe("csrf");
    expect(asked[0]?.headers["idempotency-key"]).toMatch(/^[0-9a-f]{32}$/);
  });

  it("sends an account beside the setup, never in it", async () => {
    const { asked, api } = server();
    await api.add(SETUP, { user: "u", password: "p" });
    expect(asked[0]?.body).toEqual({ setup: SETUP, user: "u", password: "p" });
    await api.setAccount("c", { user: "", password: "" });
    expect(asked[1]).toMatchObject({ path: "/api/cameras/c/account", body: { user: "", password: "" } });
    expect(JSON.stringify(asked.map((one) => one.path))).not.toContain("password");
  });

  it("turns a refusal into its kind and sentence", async () => {
    const { api } = server(() => Response.json({ code: "conflict", message: "changed" }, { status: 409 }));
    await expect(api.save(SETUP, 1)).rejects.toMatchObject({
      code: "conflict",
      message: "changed",
      status: 409,
    });
  });
});

describe("slots", () => {
  it("run a few at a time, all of them, and none that was given up while it waited", async () => {
    const slots = new Slots(2);
    let running = 0;
    let most = 0;
    let done = 0;
    const job = async (): Promise<void> => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 1));
      running -= 1;
      done += 1;
    };
    const given = new AbortController();
    const jobs = Array.from({ length: 9 }, (_, at) => slots.run(job, at === 5 ? given.signal : undefined));
    given.abort();
    await Promise.all(jobs);
    expect(most).toBe(2);
    expect(done).toBe(8);
    await expect(slots.run(() => Promise.reject(new Error("x")))).rejects.toThrow("x");
    await expect(slots.run(async () => 3)).resolves.toBe(3);
  });
});

describe("snapshots of alarms", () => {
  const alarm = (kind: string, params?: Record<string, string>): Alarm =>
    ({
      observation_kind: kind,
      reason: { code: "crowd", ...(params ? { params } : {}) },
    }) as unknown as Alarm;

  it("belong to video events only", () => {
    expect(snapshotOf(alarm("video", { snapshot: "01J" }))).toBe("01J");
    expect(snapshotOf(alarm("video"))).toBe("");
    expect(snapshotOf(alarm("device", { snapshot: "01J" }))).toBe("");
  });
});
