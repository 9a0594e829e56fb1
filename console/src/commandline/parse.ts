/**
 * The command line of the palette, as dispatchers know it from computer-aided dispatch:
 *   a                    acknowledge the chosen incident
 *   d F-11 F-13          dispatch these units to it
 *   x real               close it with a disposition
 *   u F-11 arrive        say a unit's status
 */
import { DISPOSITIONS, type Disposition, type Incident, type Unit } from "../model/types";
import { fold } from "../words/fold";

export const UNIT_COMMANDS = [
  "depart",
  "arrive",
  "clear",
  "stand_down",
  "stand_up",
  "sign_off",
  "sign_on",
] as const;
export type UnitCommand = (typeof UNIT_COMMANDS)[number];

export type Order =
  | { readonly verb: "acknowledge"; readonly incident: Incident }
  | { readonly verb: "dispatch"; readonly incident: Incident; readonly units: readonly Unit[] }
  | { readonly verb: "close"; readonly incident: Incident; readonly disposition: Disposition }
  | { readonly verb: "unit"; readonly unit: Unit; readonly command: UnitCommand };

function sameSign(unit: Unit, word: string): boolean {
  return fold(unit.call_sign).replaceAll(" ", "") === fold(word).replaceAll(" ", "");
}

/** Return the order that a line gives, or null when it is not a whole one yet. */
export function parseOrder(line: string, incident: Incident | null, units: Iterable<Unit>): Order | null {
  const [verb = "", ...words] = line.trim().split(/[\s,]+/);
  const all = [...units];
  const find = (word: string): Unit | undefined => all.find((unit) => sameSign(unit, word));
  switch (fold(verb)) {
    case "a":
      return incident?.state === "new" && words.length === 0 ? { verb: "acknowledge", incident } : null;
    case "d": {
      const chosen = words.map(find);
      if (!incident || chosen.length === 0 || chosen.some((unit) => !unit)) return null;
      return { verb: "dispatch", incident, units: chosen.filter((unit) => unit !== undefined) };
    }
    case "x": {
      const disposition = DISPOSITIONS.find((one) => words[0] && one.startsWith(words[0].toLowerCase()));
      const may = incident?.state === "acknowledged" || incident?.state === "cleared";
      return incident && may && disposition ? { verb: "close", incident, disposition } : null;
    }
    case "u": {
      const unit = find(words[0] ?? "");
      const command = UNIT_COMMANDS.find((one) => words[1] && one.startsWith(words[1].toLowerCase()));
      return unit && command ? { verb: "unit", unit, command } : null;
    }
    default:
      return null;
  }
}
