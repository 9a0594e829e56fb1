/** The map's colours per theme; the priority colours are those of app.css. */
import type { Priority } from "../model/types";

export type Theme = "dark" | "light";

export interface MapColours {
  readonly ground: string;
  readonly green: string;
  readonly water: string;
  readonly waterLine: string;
  readonly building: string;
  readonly buildingEdge: string;
  readonly roadMinor: string;
  readonly roadMiddle: string;
  readonly roadMajor: string;
  readonly roadCase: string;
  readonly path: string;
  readonly rail: string;
  readonly label: string;
  readonly labelStrong: string;
  readonly halo: string;
  readonly waterLabel: string;
  readonly normal: string;
  readonly normalDim: string;
  readonly bound: string;
  readonly panel: string;
  readonly ink: string;
  readonly onPriority: Readonly<Record<Priority, string>>;
  readonly priority: Readonly<Record<Priority, string>>;
  /** Outline and glyph of a marker that is not filled: dark enough on the ground of the theme. */
  readonly edge: Readonly<Record<Priority, string>>;
}

export const MAP_COLOURS: Readonly<Record<Theme, MapColours>> = {
  dark: {
    ground: "#121920",
    green: "#15211d",
    water: "#10304a",
    waterLine: "#163b58",
    building: "#1d2730",
    buildingEdge: "#242f39",
    roadMinor: "#303c48",
    roadMiddle: "#3c4a59",
    roadMajor: "#4c5f71",
    roadCase: "#121920",
    path: "#26313b",
    rail: "#303a44",
    label: "#93a2b0",
    labelStrong: "#c3ced8",
    halo: "#10171d",
    waterLabel: "#6f9dc0",
    normal: "#9aa6b2",
    normalDim: "#65717d",
    bound: "#3fc1ff",
    panel: "#182029",
    ink: "#0b0f13",
    priority: { 1: "#ff3b5c", 2: "#ff9f1c", 3: "#fff3b0", 4: "#3fc1ff", 5: "#5b6cff" },
    edge: { 1: "#ff3b5c", 2: "#ff9f1c", 3: "#fff3b0", 4: "#3fc1ff", 5: "#8d99ff" },
    onPriority: { 1: "#17060a", 2: "#1c1100", 3: "#1d1a08", 4: "#03151f", 5: "#ffffff" },
  },
  light: {
    ground: "#f1f3f5",
    green: "#dfeadf",
    water: "#b9d7ec",
    waterLine: "#a5c9e3",
    building: "#e1e5e9",
    buildingEdge: "#d2d8de",
    roadMinor: "#ffffff",
    roadMiddle: "#ffffff",
    roadMajor: "#ffffff",
    roadCase: "#c3ccd4",
    path: "#d5dce2",
    rail: "#c4ccd3",
    label: "#566470",
    labelStrong: "#2f3b46",
    halo: "#f7f9fa",
    waterLabel: "#3d6f95",
    normal: "#56636f",
    normalDim: "#8b97a2",
    bound: "#0369a1",
    panel: "#ffffff",
    ink: "#ffffff",
    priority: { 1: "#d1123a", 2: "#f08c00", 3: "#ffd84d", 4: "#0b7fc0", 5: "#4a55d6" },
    edge: { 1: "#d1123a", 2: "#b45f00", 3: "#8a6d00", 4: "#0b6ea8", 5: "#4a55d6" },
    onPriority: { 1: "#ffffff", 2: "#1c1100", 3: "#1d1a08", 4: "#ffffff", 5: "#ffffff" },
  },
};
