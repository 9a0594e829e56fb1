import { describe, expect, it } from "vitest";
import { parseOrder } from "../src/commandline/parse";
import type { Incident, Unit } from "../src/model/types";

const unit = (id: string, call_sign: string): Unit => ({
  id,
  call_sign,
  agency: "fire",
  capabilities: ["engine"],
  station_id: "s",
  home: { lon: 13, lat: 53 },
  state: "available",
});
const units = [unit("1", "F-11"), unit("2", "F-13")];
const incident = (state: Incident["state"]): Incident => ({
  id: "i",
  number: "2026-0412",
  type: "gas",
  state,
  priority: 1,
  priority_reason: { code: "manual" },
  place: { lon: 13, lat: 53 },
  opened_at: "2026-11-22T14:00:00Z",
  event_time: "2026-11-22T14:00:00Z",
});

describe("the command line", () => {
  it("reads whole orders, however call signs are typed", () => {
    expect(parseOrder("a", incident("new"), units)?.verb).toBe("acknowledge");
    for (const line of ["d F-11 F-13", "D f11, f13"]) {
      const order = parseOrder(line, incident("new"), units);
      expect(order?.verb === "dispatch" && order.units.map((one) => one.id)).toEqual(["1", "2"]);
    }
    expect(parseOrder("u f11 arr", null, units)).toMatchObject({ verb: "unit", command: "arrive" });
    expect(parseOrder("x dup", incident("cleared"), units)).toMatchObject({ disposition: "duplicate" });
  });

  it("gives no order for what is unknown, unfinished or not possible now", () => {
    for (const line of [
      "",
      "d",
      "d F-99",
      "d F-11 F-99",
      "u F-11",
      "u F-99 clear",
      "x",
      "x maybe",
      "hello",
    ]) {
      expect(parseOrder(line, incident("new"), units), line).toBeNull();
    }
    expect(parseOrder("a", incident("acknowledged"), units)).toBeNull();
    expect(parseOrder("x real", incident("dispatched"), units)).toBeNull();
    expect(parseOrder("d F-11", null, units)).toBeNull();
  });
});
