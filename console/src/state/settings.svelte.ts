/** How this workplace likes to see things; kept in the browser, nothing of it is secret. */
import type { Theme } from "../map/colours";
import { LANGUAGES, type Language } from "../words/language";

export const TEXT_SIZES = [100, 112, 125, 150] as const;
export type TextSize = (typeof TEXT_SIZES)[number];

const KEPT_AS = "safecity.display";

interface Kept {
  readonly language?: string;
  readonly theme?: string;
  readonly text?: number;
}

function read(): Kept {
  try {
    return JSON.parse(localStorage.getItem(KEPT_AS) ?? "{}") as Kept;
  } catch {
    return {};
  }
}

function firstLanguage(kept: string | undefined): Language {
  const wanted = [kept, ...navigator.languages.map((tag) => tag.slice(0, 2))];
  return wanted.find((tag): tag is Language => LANGUAGES.includes(tag as Language)) ?? "en";
}

class Settings {
  language = $state<Language>("en");
  theme = $state<Theme>("dark");
  text = $state<TextSize>(100);

  constructor() {
    const kept = read();
    this.language = firstLanguage(kept.language);
    this.theme = kept.theme === "light" ? "light" : "dark";
    this.text = TEXT_SIZES.find((size) => size === kept.text) ?? 100;
  }

  /** Show the settings on the page and keep them; run inside an effect. */
  apply(): void {
    const root = document.documentElement;
    root.lang = this.language === "uz" ? "uz-Latn" : this.language;
    root.dataset.theme = this.theme;
    root.style.fontSize = `${this.text}%`;
    const kept: Kept = { language: this.language, theme: this.theme, text: this.text };
    try {
      localStorage.setItem(KEPT_AS, JSON.stringify(kept));
    } catch {
      // A browser that keeps nothing still shows everything.
    }
  }
}

export const settings = new Settings();
