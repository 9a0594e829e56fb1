/** What the palette offers for what was typed: an order, screens, incidents, units, cameras, places. */
import { type Order, parseOrder } from "../commandline/parse";
import type { FoundPlace } from "../model/types";
import { matches } from "../words/fold";
import { LANGUAGES, ownName } from "../words/language";
import type { Key } from "../words/words";
import { desk } from "./desk.svelte";
import { settings } from "./settings.svelte";
import { shortcuts } from "./shortcuts.svelte";
import { named, placeOf, t } from "./speech.svelte";
import { work } from "./work.svelte";

export interface Offer {
  readonly group: Key;
  readonly text: string;
  readonly note?: string;
  readonly keys?: string;
  readonly run: () => void;
}

const EACH = 5;

function orderText(order: Order): string {
  switch (order.verb) {
    case "acknowledge":
      return t("palette.acknowledge", { number: order.incident.number });
    case "dispatch":
      return t("palette.dispatch", {
        units: order.units.map((unit) => unit.call_sign).join(", "),
        number: order.incident.number,
      });
    case "close":
      return t("palette.close", {
        number: order.incident.number,
        disposition: named("disposition", order.disposition),
      });
    case "unit":
      return t("palette.unit", { unit: order.unit.call_sign, command: named("action", order.command) });
  }
}

function give(order: Order): void {
  switch (order.verb) {
    case "acknowledge":
      void work.acknowledge(order.incident.id);
      break;
    case "dispatch":
      void work.send(
        order.incident.id,
        order.units.map((unit) => unit.id),
        t("palette.override"),
      );
      break;
    case "close":
      void work.close(order.disposition, "", order.incident.id);
      break;
    case "unit":
      void work.tellUnit(order.unit.id, order.command);
  }
}

function orders(line: string): Offer[] {
  const order = parseOrder(line, work.incident, desk.picture.unit.values());
  return order ? [{ group: "palette.group.command", text: orderText(order), run: () => give(order) }] : [];
}

function fixed(): Offer[] {
  const screens: Offer[] = shortcuts.list
    .filter((one) => one.keys.startsWith("g "))
    .filter((one) => desk.tabs.some((tab) => one.words === `tab.${tab}`) || !one.words.startsWith("tab."))
    .map((one) => ({ group: "palette.group.go", text: t(one.words), keys: one.keys, run: one.run }));
  const display: Offer[] = [
    ...(["dark", "light"] as const).map((theme) => ({
      group: "palette.group.setting" as Key,
      text: t("palette.theme", { name: t(`menu.theme.${theme}`) }),
      run: () => {
        settings.theme = theme;
      },
    })),
    ...LANGUAGES.map((language) => ({
      group: "palette.group.setting" as Key,
      text: ownName(language),
      run: () => {
        settings.language = language;
      },
    })),
  ];
  const typeIn: Offer = {
    group: "palette.group.go",
    text: t("calls.type_in"),
    keys: "n",
    run: () => shortcuts.typeIn(),
  };
  return [...screens, typeIn, ...display];
}

function things(line: string): Offer[] {
  const { incident, unit, camera, fixes } = desk.picture;
  const incidents = Array.from(incident.values())
    .map((one) => ({ one, text: `${one.number} ${named("type", one.type)} ${placeOf(one.place)}` }))
    .filter(({ text }) => matches(line, text))
    .slice(0, EACH)
    .map(
      ({ one }): Offer => ({
        group: "palette.group.incident",
        text: `${one.number} · ${named("type", one.type)}`,
        note: placeOf(one.place),
        run: () => {
          desk.tab = "operations";
          work.select(one.id);
        },
      }),
    );
  const units = Array.from(unit.values())
    .filter((one) => matches(line, `${one.call_sign} ${one.call_sign.replace(/\W/g, "")}`))
    .slice(0, EACH)
    .map(
      (one): Offer => ({
        group: "palette.group.unit",
        text: one.call_sign,
        note: `${named("agency", one.agency)} · ${named("unit_state", one.state)}`,
        run: () => {
          desk.tab = "operations";
          desk.goTo = fixes.get(one.id) ?? one.home;
        },
      }),
    );
  const cameras = Array.from(camera.values())
    .filter((one) => matches(line, one.name))
    .slice(0, EACH)
    .map(
      (one): Offer => ({
        group: "palette.group.camera",
        text: one.name,
        note: named("camera_state", one.state),
        run: () => {
          desk.tab = "operations";
          desk.goTo = one.place;
          work.wantedCamera = one.id;
        },
      }),
    );
  return [...incidents, ...units, ...cameras];
}

function places(found: readonly FoundPlace[]): Offer[] {
  return found.slice(0, EACH + 2).map((place) => ({
    group: "palette.group.place",
    text: place.text,
    run: () => {
      if (desk.tab !== "calls") desk.tab = "operations";
      desk.goTo = place;
    },
  }));
}

/** Everything to offer for a line, best first. */
export function offers(line: string, found: readonly FoundPlace[]): Offer[] {
  if (line.trim() === "") return fixed();
  return [
    ...orders(line),
    ...things(line),
    ...places(found),
    ...fixed().filter((offer) => matches(line, offer.text)),
  ];
}
