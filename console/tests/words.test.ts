import { describe, expect, it } from "vitest";
import { DIRECTIONS, KINDS, RULE_KINDS } from "../src/editor/kinds";
import * as camera from "../src/model/camera";
import * as model from "../src/model/types";
import { fold, matches } from "../src/words/fold";
import {
  compareWords,
  dateAndTime,
  LANGUAGES,
  longDate,
  number,
  type PluralForm,
  pluralForm,
  stopwatch,
} from "../src/words/language";
import { CATALOGUES, type Entry, placeholders, say, sayReason } from "../src/words/words";

const NEEDED: Readonly<Record<string, readonly PluralForm[]>> = {
  uz: ["other"],
  ru: ["one", "few", "many", "other"],
  en: ["one", "other"],
};

describe("catalogues", () => {
  it("have the same keys", () => {
    const english = Object.keys(CATALOGUES.en).sort();
    for (const language of LANGUAGES) expect(Object.keys(CATALOGUES[language]).sort()).toEqual(english);
  });

  it("have the same placeholders, every plural form and no empty words", () => {
    for (const [key, entry] of Object.entries(CATALOGUES.en)) {
      for (const language of LANGUAGES) {
        const own = CATALOGUES[language][key] as Entry;
        expect([...placeholders(own)].sort(), `${language} ${key}`).toEqual([...placeholders(entry)].sort());
        expect(typeof own, `${language} ${key}`).toBe(typeof entry);
        const forms = typeof own === "string" ? [own] : (NEEDED[language] ?? []).map((form) => own[form]);
        for (const words of forms) expect(words?.trim(), `${language} ${key}`).toBeTruthy();
      }
    }
  });

  it("name every member of every list of the model", () => {
    const fields = Object.values(KINDS).flatMap((kind) => kind.fields);
    const groups: Readonly<Record<string, readonly (string | number)[]>> = {
      priority: model.PRIORITIES,
      agency: model.AGENCIES,
      type: model.INCIDENT_TYPES,
      incident_state: model.INCIDENT_STATES,
      disposition: model.DISPOSITIONS,
      call_state: model.CALL_STATES,
      unit_state: model.UNIT_STATES,
      assignment_state: model.ASSIGNMENT_STATES,
      capability: model.CAPABILITIES,
      camera_state: model.CAMERA_STATES,
      kind: model.OBSERVATION_KINDS,
      entity: model.ENTITY_KINDS,
      class: camera.OBJECT_CLASSES,
      video_kind: camera.VIDEO_EVENT_KINDS,
      rule: RULE_KINDS,
      rule_lead: RULE_KINDS,
      rule_field: fields.map((field) => field.name),
      rule_field_lead: fields.filter((field) => field.type === "number").map((field) => field.name),
      direction: DIRECTIONS,
    };
    for (const [group, members] of Object.entries(groups)) {
      for (const member of members) expect(CATALOGUES.en).toHaveProperty([`${group}.${member}`]);
    }
  });

  it("write Uzbek with its own letters and Russian in Cyrillic", () => {
    for (const entry of Object.values(CATALOGUES.uz)) {
      const words = JSON.stringify(entry);
      expect(words).not.toMatch(/[og]['‘’`]/i);
      expect(words.replace(/\{\w+\}|Русский/g, "")).not.toMatch(/[а-я]/i);
    }
  });
});

describe("plurals", () => {
  it.each([
    [0, "many"],
    [1, "one"],
    [2, "few"],
    [4, "few"],
    [5, "many"],
    [11, "many"],
    [12, "many"],
    [14, "many"],
    [21, "one"],
    [22, "few"],
    [100, "many"],
    [101, "one"],
    [111, "many"],
    [112, "many"],
    [1.5, "other"],
  ] as const)("of %d in Russian are %s", (n, form) => {
    expect(pluralForm("ru", n)).toBe(form);
  });

  it("reach the screen", () => {
    expect(say("ru", "queue.calls", { n: 1 })).toBe("1 вызов");
    expect(say("ru", "queue.calls", { n: 3 })).toBe("3 вызова");
    expect(say("ru", "queue.calls", { n: 11 })).toBe("11 вызовов");
    expect(say("uz", "queue.calls", { n: 3 })).toBe("3 ta chaqiruv");
    expect(say("en", "action.dispatch", { n: 1 })).toBe("Dispatch 1 unit");
  });
});

describe("reasons", () => {
  const reason = {
    code: "threshold_above",
    params: { property: "gas_ch4", value: 5200.5, unit: "ppm", threshold: 5000 },
    text: "Methane at 10 % of its lower explosive limit: 5,200.5 ppm, above 5,000 ppm",
  };

  it("are the server's sentence in English and the catalogue's in the others", () => {
    expect(sayReason("en", reason)).toBe(reason.text);
    expect(sayReason("ru", reason)).toBe("метан: 5200,5 ppm, выше 5000 ppm");
  });

  it("fall back to English when a value is missing or the code is new", () => {
    expect(sayReason("uz", { code: "threshold_above", params: {}, text: "too much" })).toBe("too much");
    expect(sayReason("uz", { code: "from_tomorrow", text: "because" })).toBe("because");
    expect(sayReason("uz", null)).toBe("");
  });
});

describe("numbers and dates", () => {
  it("are written as each language does", () => {
    expect(number("en", 12345.67)).toBe("12\u2009345.7");
    expect(number("uz", 12345.67)).toBe("12\u00a0345,7");
    expect(number("ru", -0.04)).toBe("0");
    expect(number("en", 100, 0)).toBe("100");
    expect(number("en", 5000)).toBe("5000");
    const moment = new Date(2026, 10, 22, 14, 3, 13);
    expect(longDate("uz", moment)).toBe("yakshanba, 22-noyabr 2026");
    expect(longDate("ru", moment)).toBe("воскресенье, 22 ноября 2026");
    expect(longDate("en", moment)).toBe("Sunday 22 November 2026");
    expect(dateAndTime("en", moment)).toBe("22 Nov 14:03:13");
    expect(stopwatch(42)).toBe("00:42");
    expect(stopwatch(3790)).toBe("1:03:10");
    expect(stopwatch(-5)).toBe("00:00");
  });
});

describe("order and search", () => {
  it("put Uzbek oʻ, gʻ, sh and ch after z", () => {
    const words = ["shahar", "oʻrmon", "ona", "suv", "zar", "choy", "gʻalaba", "gul"];
    expect(words.sort((a, b) => compareWords("uz", a, b))).toEqual([
      "gul",
      "ona",
      "suv",
      "zar",
      "oʻrmon",
      "gʻalaba",
      "shahar",
      "choy",
    ]);
  });

  it("find a word however it is typed", () => {
    for (const typed of ["oʻzbek", "o'zbek", "Õzbek", "özbek", "ўзбек"]) expect(fold(typed)).toBe("ozbek");
    expect(fold("Şaşlik")).toBe(fold("shashlik"));
    expect(fold("Чорсу")).toBe(fold("Chorsu"));
    expect(matches("kath 14", "Katharinenstraße 14")).toBe(true);
    expect(matches("strasse", "Katharinenstraße 14")).toBe(true);
    expect(matches("kath 15", "Katharinenstraße 14")).toBe(false);
  });
});
