/**
 * Keyboard shortcuts. A shortcut is bound to its character and, when the layout writes no Latin letters, to
 * the physical key that carries that character on a US keyboard: "a" works on Cyrillic layouts too.
 */
export interface KeyStroke {
  readonly key: string;
  readonly code: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
  readonly shiftKey: boolean;
}

const PHYSICAL: Readonly<Record<string, string>> = {
  Slash: "/",
  Comma: ",",
  Period: ".",
  BracketLeft: "[",
  BracketRight: "]",
};
const LATIN = /^[a-z]$/i;
const SEQUENCE_MS = 1_200;

/** Return what was meant: "a", "?", "Enter", "ctrl+k"; the character on Latin layouts, else the key. */
export function meant(stroke: KeyStroke, layoutIsLatin = true): string {
  let name = stroke.key === " " ? "Space" : stroke.key;
  if (name.length === 1 && !LATIN.test(name)) {
    const letter = /^Key([A-Z])$/.exec(stroke.code)?.[1];
    const mark = PHYSICAL[stroke.code];
    if (letter) name = letter;
    else if (!layoutIsLatin && mark) name = mark === "/" && stroke.shiftKey ? "?" : mark;
  }
  if (name.length === 1) name = name.toLowerCase();
  return stroke.ctrlKey || stroke.metaKey ? `ctrl+${name}` : name;
}

/** What a stroke does; it returns false when it does not apply now, so that the browser gets the stroke. */
export type Handler = () => unknown;

/** Reads strokes, knows two-key sequences ("g o") and calls what is bound. */
export class Keys {
  readonly #bound = new Map<string, Handler>();
  #first = "";
  #first_ms = 0;
  #layoutIsLatin = true;

  /** Bind a stroke ("a", "ctrl+k") or a sequence ("g o"). */
  bind(name: string, handler: Handler): void {
    this.#bound.set(name, handler);
  }

  get names(): readonly string[] {
    return [...this.#bound.keys()];
  }

  /** Handle a stroke; true when something was bound to it. While `typing`, only ctrl strokes count. */
  press(stroke: KeyStroke, typing: boolean, now_ms: number): boolean {
    if (/\p{L}/u.test(stroke.key) && stroke.key.length === 1) this.#layoutIsLatin = LATIN.test(stroke.key);
    if (stroke.altKey) return false;
    const name = meant(stroke, this.#layoutIsLatin);
    if (typing && !name.startsWith("ctrl+") && name !== "Escape") return false;
    const sequence = now_ms - this.#first_ms <= SEQUENCE_MS && this.#first ? `${this.#first} ${name}` : "";
    this.#first = "";
    const handler = this.#bound.get(sequence) ?? this.#bound.get(name);
    if (handler) return handler() !== false;
    if ([...this.#bound.keys()].some((bound) => bound.startsWith(`${name} `))) {
      this.#first = name;
      this.#first_ms = now_ms;
      return true;
    }
    return false;
  }
}

/** Whether the element takes typed text, so that letters are not shortcuts there. */
export function takesText(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "button"].includes(target.type);
  return (
    target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable
  );
}
