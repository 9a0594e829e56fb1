/**
 * What a language needs beyond its words. Browsers carry no Uzbek-Latin data (CLDR uz-Latn is left out of
 * Chromium's ICU), so all three languages use our own tables and look the same everywhere.
 */
export const LANGUAGES = ["uz", "ru", "en"] as const;
export type Language = (typeof LANGUAGES)[number];

export type PluralForm = "one" | "few" | "many" | "other";

interface Tables {
  readonly ownName: string;
  readonly months: readonly string[];
  readonly days: readonly string[];
  readonly decimal: string;
  readonly group: string;
}

const TABLES: Readonly<Record<Language, Tables>> = {
  uz: {
    ownName: "Oʻzbekcha",
    months: [
      "yanvar",
      "fevral",
      "mart",
      "aprel",
      "may",
      "iyun",
      "iyul",
      "avgust",
      "sentabr",
      "oktabr",
      "noyabr",
      "dekabr",
    ],
    days: ["yakshanba", "dushanba", "seshanba", "chorshanba", "payshanba", "juma", "shanba"],
    decimal: ",",
    group: "\u00a0",
  },
  ru: {
    ownName: "Русский",
    months: [
      "января",
      "февраля",
      "марта",
      "апреля",
      "мая",
      "июня",
      "июля",
      "августа",
      "сентября",
      "октября",
      "ноября",
      "декабря",
    ],
    days: ["воскресенье", "понедельник", "вторник", "среда", "четверг", "пятница", "суббота"],
    decimal: ",",
    group: "\u00a0",
  },
  en: {
    ownName: "English",
    months: [
      "January",
      "February",
      "March",
      "April",
      "May",
      "June",
      "July",
      "August",
      "September",
      "October",
      "November",
      "December",
    ],
    days: ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"],
    decimal: ".",
    group: "\u2009",
  },
};

export function ownName(language: Language): string {
  return TABLES[language].ownName;
}

/** The plural form of a count, by the CLDR 46 cardinal rules for uz, ru and en. */
export function pluralForm(language: Language, n: number): PluralForm {
  if (language !== "ru") return n === 1 ? "one" : "other";
  if (!Number.isInteger(n)) return "other";
  const last = Math.abs(n) % 10;
  const lastTwo = Math.abs(n) % 100;
  if (last === 1 && lastTwo !== 11) return "one";
  if (last >= 2 && last <= 4 && (lastTwo < 12 || lastTwo > 14)) return "few";
  return "many";
}

/** A number with at most `digits` decimals, in the language's marks. */
export function number(language: Language, value: number, digits = 1): string {
  const { decimal, group } = TABLES[language];
  const rounded = Math.abs(value)
    .toFixed(digits)
    .replace(/\.?0+$/, (zeros) => (zeros.startsWith(".") ? "" : zeros));
  const [whole = "0", part] = rounded.split(".");
  const grouped = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, group) : whole;
  return `${value < 0 && Number(rounded) !== 0 ? "−" : ""}${grouped}${part ? decimal + part : ""}`;
}

const two = (n: number): string => String(Math.floor(n)).padStart(2, "0");

/** Wall-clock time of this workplace, 14:03:13. */
export function clockTime(moment: Date): string {
  return `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`;
}

/** Sunday 22 November 2026, as each language writes it. */
export function longDate(language: Language, moment: Date): string {
  const { months, days } = TABLES[language];
  const day = days[moment.getDay()] ?? "";
  const month = months[moment.getMonth()] ?? "";
  const date = moment.getDate();
  const year = moment.getFullYear();
  if (language === "uz") return `${day}, ${date}-${month} ${year}`;
  return language === "ru" ? `${day}, ${date} ${month} ${year}` : `${day} ${date} ${month} ${year}`;
}

/** 22.11. or the like is never needed without its time: 22 Nov 14:03 in the order the language reads. */
export function dateAndTime(language: Language, moment: Date): string {
  const month = (TABLES[language].months[moment.getMonth()] ?? "").slice(0, 3);
  const day = language === "uz" ? `${moment.getDate()}-${month}` : `${moment.getDate()} ${month}`;
  return `${day} ${clockTime(moment)}`;
}

/** A running duration as a stopwatch shows it: 00:42, 1:03:10. */
export function stopwatch(duration_s: number): string {
  const whole_s = Math.max(0, Math.floor(duration_s));
  const hours = Math.floor(whole_s / 3600);
  const rest = `${two((whole_s % 3600) / 60)}:${two(whole_s % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}

const UZ_LETTERS = "abdefghijklmnopqrstuvxyz".split("").concat(["oʻ", "gʻ", "sh", "ch", "ng"]);

function uzbekKey(word: string): string {
  const folded = word.toLowerCase().replace(/([og])[ʻ'`‘’ʼ]/g, "$1ʻ");
  let key = "";
  for (let at = 0; at < folded.length; ) {
    const pair = folded.slice(at, at + 2);
    const unit = UZ_LETTERS.includes(pair) ? pair : (folded[at] ?? "");
    const rank = UZ_LETTERS.indexOf(unit);
    key += rank >= 0 ? String.fromCodePoint(0x4000 + rank) : unit;
    at += unit.length;
  }
  return key;
}

const collators: Partial<Record<Language, Intl.Collator>> = {};

/** Order two words as a dictionary of the language does; oʻ, gʻ, sh, ch, ng are letters after z in Uzbek. */
export function compareWords(language: Language, a: string, b: string): number {
  if (language === "uz") {
    const [x, y] = [uzbekKey(a), uzbekKey(b)];
    return x < y ? -1 : x > y ? 1 : 0;
  }
  collators[language] ??= new Intl.Collator(language, { numeric: true });
  return collators[language].compare(a, b);
}
