import { describe, expect, it } from "vitest";
import { circle } from "../src/map/circle";
import { FADE_FROM_MS, fade, LIST_ONLY_FROM_MS, OUTLINE_FROM_MS } from "../src/map/features";
import { Motion } from "../src/map/motion";
import type { Fix } from "../src/store/store";

function fix(lon: number, time_ms: number): Fix {
  return { unit_id: "u", lon, lat: 53, speed_mps: 10, heading_deg: 0, time_ms };
}

describe("a unit without news", () => {
  it("fades from 15 s, is an outline from 60 s and leaves the map at 5 min", () => {
    expect(fade(FADE_FROM_MS)).toEqual({ opacity: 1, body: "full" });
    expect(fade(40_000)?.opacity).toBeLessThan(1);
    expect(fade(OUTLINE_FROM_MS)?.body).toBe("outline");
    expect(fade(LIST_ONLY_FROM_MS - 1)?.body).toBe("outline");
    expect(fade(LIST_ONLY_FROM_MS)).toBeNull();
  });
});

describe("motion", () => {
  it("glides from fix to fix and never overshoots", () => {
    const motion = new Motion();
    motion.take(new Map([["u", fix(13, 0)]]), 0);
    motion.take(new Map([["u", fix(13.001, 1000)]]), 1000);
    const lons = [1000, 1400, 1800, 2200, 9000].map((now) => motion.position("u", now)?.[0] ?? 0);
    expect(lons[0]).toBe(13);
    expect(lons).toEqual([...lons].sort((a, b) => a - b));
    expect(lons[4]).toBe(13.001);
  });

  it("sets a unit that was away instead of moving it across the city", () => {
    const motion = new Motion();
    motion.take(new Map([["u", fix(13, 0)]]), 0);
    motion.take(new Map([["u", fix(13.1, 1000)]]), 1000);
    expect(motion.position("u", 1001)?.[0]).toBe(13.1);
  });

  it("forgets units that are gone", () => {
    const motion = new Motion();
    motion.take(new Map([["u", fix(13, 0)]]), 0);
    motion.take(new Map(), 10);
    expect(motion.position("u", 20)).toBeUndefined();
  });
});

describe("a circle", () => {
  it("has its radius on the ground", () => {
    const ring = circle(13.26, 53.55, 100).geometry.coordinates[0] ?? [];
    const north = Math.max(...ring.map(([, lat]) => lat ?? 0));
    expect((north - 53.55) * 111_195).toBeCloseTo(100, 0);
    expect(ring[0]).toEqual(ring[ring.length - 1]);
  });
});
