/** What each key does. The sheet (?) is made from the same list, so that it cannot be wrong. */
import { tick } from "svelte";
import { Keys } from "../keys/keys";
import type { Key } from "../words/words";
import { desk, TABS, type Tab } from "./desk.svelte";
import { looks } from "./looks.svelte";
import { phones, TYPED } from "./phones.svelte";
import { replay } from "./replay.svelte";
import { work } from "./work.svelte";

export interface Shortcut {
  readonly keys: string;
  readonly words: Key;
  /** Returns false when the key does not apply now. */
  readonly run: () => unknown;
}

const TAB_KEYS: Readonly<Record<Tab, string>> = {
  operations: "g o",
  calls: "g c",
  cameras: "g v",
  units: "g u",
  review: "g r",
};

function focusOn(selector: string): void {
  void tick().then(() => document.querySelector<HTMLElement>(selector)?.focus());
}

function press(selector: string): void {
  document.querySelector<HTMLElement>(selector)?.click();
}

export class Shortcuts {
  readonly keys = new Keys();
  modal = $state<"" | "palette" | "keys">("");
  readonly list: readonly Shortcut[];

  constructor() {
    const onIncident = (run: () => void) => (): void => {
      if (desk.tab === "operations" && work.incident) run();
    };
    const onReplay = (run: () => void) => (): unknown => {
      // Space on a button means the button.
      if (!this.#onReplay || document.activeElement instanceof HTMLButtonElement) return false;
      return run();
    };
    this.list = [
      { keys: "ctrl+k", words: "keys.palette", run: () => this.open("palette") },
      { keys: "/", words: "keys.palette", run: () => this.open("palette") },
      { keys: "?", words: "keys.sheet", run: () => this.open("keys") },
      { keys: "j", words: "keys.next", run: () => this.#move(1) },
      { keys: "k", words: "keys.previous", run: () => this.#move(-1) },
      { keys: "a", words: "keys.acknowledge", run: onIncident(() => void work.acknowledge()) },
      { keys: "d", words: "keys.dispatch", run: onIncident(() => this.#preview()) },
      { keys: "Enter", words: "keys.send", run: () => this.#send() },
      {
        keys: "x",
        words: "keys.close",
        run: onIncident(() => {
          if (work.mayClose) work.closing = true;
        }),
      },
      {
        keys: "u",
        words: "keys.add",
        run: onIncident(() => focusOn("[data-testid=add-unit]")),
      },
      { keys: "c", words: "keys.camera", run: onIncident(() => press("[data-testid=next-camera]")) },
      { keys: "n", words: "keys.type_in", run: () => this.typeIn() },
      { keys: "l", words: "keys.live", run: () => this.#live() },
      { keys: "p", words: "keys.replay", run: () => this.#replay() },
      { keys: "Space", words: "keys.play", run: onReplay(() => replay.toggle()) },
      { keys: ",", words: "keys.frame_back", run: onReplay(() => void replay.step(-1)) },
      { keys: ".", words: "keys.frame_forward", run: onReplay(() => void replay.step(1)) },
      { keys: "[", words: "keys.event_previous", run: onReplay(() => replay.toEvent(-1)) },
      { keys: "]", words: "keys.event_next", run: onReplay(() => replay.toEvent(1)) },
      { keys: "-", words: "keys.slower", run: onReplay(() => replay.faster(-1)) },
      { keys: "+", words: "keys.faster", run: onReplay(() => replay.faster(1)) },
      { keys: "i", words: "keys.mark_from", run: onReplay(() => replay.mark("from")) },
      { keys: "o", words: "keys.mark_to", run: onReplay(() => replay.mark("to")) },
      { keys: "h", words: "keys.hold", run: onReplay(() => this.#hold()) },
      ...TABS.map((tab) => ({ keys: TAB_KEYS[tab], words: `tab.${tab}` as Key, run: () => this.go(tab) })),
      { keys: "g m", words: "keys.go_map", run: () => this.#toMap() },
      { keys: "g q", words: "keys.go_queue", run: () => this.#toQueue() },
      { keys: "Escape", words: "keys.escape", run: () => this.#back() },
    ];
    for (const { keys, run } of this.list) this.keys.bind(keys, run);
  }

  open(modal: "palette" | "keys"): void {
    this.modal = modal;
  }

  go(tab: Tab): void {
    if (desk.tabs.includes(tab)) desk.tab = tab;
  }

  typeIn(): void {
    desk.tab = "calls";
    phones.select(TYPED);
    focusOn("[data-testid=call-type] button");
  }

  #move(steps: number): void {
    if (desk.tab === "calls") phones.move(steps);
    else if (desk.tab === "operations") work.move(steps);
  }

  get #onReplay(): boolean {
    return desk.tab === "cameras" && looks.view === "replay" && looks.open;
  }

  #live(): void {
    if (this.#onReplay) replay.goLive();
    else if (desk.tab === "cameras" && looks.view === "wall") looks.toggleAll();
  }

  /** From an incident a minute before it, from the wall the chosen camera. */
  #replay(): void {
    if (desk.tab === "operations") press("[data-testid=replay-incident]");
    else if (desk.tab === "cameras" && looks.open && looks.chosenId) replay.show(looks.chosenId);
  }

  #hold(): void {
    if (desk.may("hold")) replay.holding = !replay.holding;
  }

  /** Show what a dispatch would send and stand on its button: Enter sends it. */
  #preview(): void {
    if (work.chosen.length === 0 && !work.recommending) {
      focusOn("[data-testid=add-unit]");
      return;
    }
    work.armed = true;
    focusOn(work.added.length > 0 && !work.overrideReason ? "#override" : "[data-testid=dispatch]");
  }

  /** Send what is previewed, unless another control is meant by Enter. */
  #send(): boolean {
    const at = document.activeElement;
    const elsewhere = at instanceof HTMLButtonElement && at.dataset.testid !== "dispatch";
    if (!work.armed || elsewhere || desk.tab !== "operations") return false;
    void work.dispatch();
    return true;
  }

  #toMap(): void {
    if (desk.tab !== "calls") desk.tab = "operations";
    focusOn(".maplibregl-canvas");
  }

  #toQueue(): void {
    if (desk.tab !== "calls") desk.tab = "operations";
    focusOn("[data-chosen=true], [data-testid=incident-card], [data-testid=call-card]");
  }

  #back(): void {
    if (work.closing) work.closing = false;
    else if (work.armed) work.armed = false;
    else if (this.#onReplay && replay.holding) replay.holding = false;
    else if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
  }
}

export const shortcuts = new Shortcuts();
