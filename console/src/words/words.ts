/** Every visible word comes from a catalogue (uz, ru, en); English decides which keys there are. */
import type { Reason } from "../model/types";
import en from "./en.json";
import { type Language, number, type PluralForm, pluralForm } from "./language";
import ru from "./ru.json";
import uz from "./uz.json";

export type Key = keyof typeof en;
export type Params = Readonly<Record<string, number | string>>;
export type Entry = string | Readonly<Partial<Record<PluralForm, string>>>;
export type Catalogue = Readonly<Record<string, Entry>>;

export const CATALOGUES: Readonly<Record<Language, Catalogue>> = { uz, ru, en };

const PLACEHOLDER = /\{(\w+)\}/g;

/** The names in braces of an entry. */
export function placeholders(entry: Entry): Set<string> {
  const texts = typeof entry === "string" ? [entry] : Object.values(entry);
  return new Set(texts.flatMap((text) => Array.from(text.matchAll(PLACEHOLDER), (found) => found[1] ?? "")));
}

function choose(language: Language, entry: Entry, params: Params): string {
  if (typeof entry === "string") return entry;
  const form = pluralForm(language, Number(params.n ?? 0));
  return entry[form] ?? entry.other ?? entry.many ?? "";
}

function fill(language: Language, text: string, params: Params): string {
  return text.replace(PLACEHOLDER, (_, name: string) => {
    const value = params[name];
    return typeof value === "number" ? number(language, value) : (value ?? "");
  });
}

/** Return the words of `key` with its placeholders filled; `n` decides the plural. */
export function say(language: Language, key: Key, params: Params = {}): string {
  const entry = CATALOGUES[language][key] ?? CATALOGUES.en[key];
  return entry === undefined ? key : fill(language, choose(language, entry, params), params);
}

/** Return the words of a key made from data, such as "state.new", or undefined when there are none. */
export function sayIfKnown(language: Language, key: string, params: Params = {}): string | undefined {
  const entry = CATALOGUES[language][key];
  if (entry === undefined) return undefined;
  for (const name of placeholders(entry)) if (params[name] === undefined) return undefined;
  return fill(language, choose(language, entry, params), params);
}

/** Words inside a reason that are codes themselves: "property" gas_ch4, "capability" ladder. */
const NAMED = ["property", "capability", "type", "agency", "kind", "zone_class"];

function named(language: Language, reason: Reason): Params {
  const params: Record<string, number | string> = { ...reason.params };
  for (const name of NAMED) {
    const value = params[name];
    if (typeof value === "string") params[name] = sayIfKnown(language, `${name}.${value}`) ?? value;
  }
  return params;
}

/** A reason in the catalogue's few words; the server's sentence when it has none. */
export function sayBriefly(language: Language, reason: Reason): string {
  return sayIfKnown(language, `reason.${reason.code}`, named(language, reason)) ?? reason.text ?? "";
}

/**
 * A reason in the reader's language. English readers get the server's own sentence, which knows most; others
 * the catalogue's, and the English one only when the catalogue cannot say it fully.
 */
export function sayReason(language: Language, reason: Reason | null | undefined): string {
  if (!reason) return "";
  if (language === "en" && reason.text) return reason.text;
  return sayBriefly(language, reason);
}
