/** Which snapshot belongs to an alarm of a camera. */
import type { Alarm } from "../model/types";

/** The id of the alarm's snapshot; empty when the alarm is no video event or has none. */
export function snapshotOf(alarm: Alarm): string {
  if (alarm.observation_kind !== "video") return "";
  const id = alarm.reason.params?.snapshot;
  return typeof id === "string" ? id : "";
}
