/** The catalogue in the language that is set now; views use these and nothing else for words. */
import type { Place, Reason } from "../model/types";
import { clockTime, compareWords, dateAndTime, longDate, number } from "../words/language";
import { type Key, type Params, say, sayBriefly, sayIfKnown, sayReason } from "../words/words";
import { settings } from "./settings.svelte";

export const t = (key: Key, params?: Params): string => say(settings.language, key, params);

/** Words for a code that comes from data; the code itself when there are none. */
export const named = (group: string, code: string): string =>
  sayIfKnown(settings.language, `${group}.${code}`) ?? code;

export const because = (reason: Reason | null | undefined): string => sayReason(settings.language, reason);

export const briefly = (reason: Reason): string => sayBriefly(settings.language, reason);

export const figure = (value: number, digits = 1): string => number(settings.language, value, digits);

export const clockOf = (time: string): string => clockTime(new Date(time));

export const momentOf = (time: string): string => dateAndTime(settings.language, new Date(time));

export const dateOf = (time_ms: number): string => longDate(settings.language, new Date(time_ms));

export const byWords = (a: string, b: string): number => compareWords(settings.language, a, b);

/** A travel time as people say it: 40 s, 3 min 10 s. */
export function travelTime(time_s: number): string {
  const whole = Math.round(time_s);
  if (whole < 60) return t("common.seconds", { n: whole });
  return t("common.minutes_seconds", {
    minutes: Math.floor(whole / 60),
    seconds: String(whole % 60).padStart(2, "0"),
  });
}

/** An age without false precision: 12 s, 4 min, 2 h 5 min. */
export function ageOf(age_s: number): string {
  const whole = Math.max(0, Math.round(age_s));
  if (whole < 60) return t("common.seconds", { n: whole });
  if (whole < 3600) return t("common.minutes", { n: Math.floor(whole / 60) });
  return t("common.hours_minutes", {
    hours: Math.floor(whole / 3600),
    minutes: Math.floor((whole % 3600) / 60),
  });
}

export function distance(distance_m: number): string {
  if (distance_m < 1000) return t("common.metres", { n: Math.round(distance_m / 10) * 10 || 10 });
  return t("common.kilometres", { n: Math.round(distance_m / 100) / 10 });
}

/** A place in words; its coordinates when nobody named it. */
export function placeOf(place: Place | null | undefined): string {
  if (!place) return "";
  return place.text || `${place.lat.toFixed(5)}, ${place.lon.toFixed(5)}`;
}
