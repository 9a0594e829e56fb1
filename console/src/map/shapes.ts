/**
 * Shape, glyph and colour, always all three: the shape says the priority, the glyph the kind. Drawn once as
 * paths, used by the queue (SVG) and by the map (canvas), so that a card and its marker look the same.
 */
import type { Agency, IncidentType, Priority } from "../model/types";

export interface Shape {
  /** Path in a box of 40 by 40. */
  readonly path: string;
  /** Where the glyph's middle stands, and its size, in the same box. */
  readonly glyph: { readonly x: number; readonly y: number; readonly size: number };
}

export const SHAPES: Readonly<Record<Priority, Shape>> = {
  1: {
    path: "M17.300 4.500 2.900 31.500C1.600 34 3.300 37 6.100 37h27.800c2.800 0 4.500-3 3.200-5.500L22.700 4.500c-1.200-2.200-4.200-2.200-5.400 0Z",
    glyph: { x: 20, y: 25.5, size: 17 },
  },
  2: {
    path: "M17.600 3.300 3.300 17.600a3.400 3.400 0 0 0 0 4.800l14.300 14.300a3.400 3.400 0 0 0 4.800 0l14.300-14.300a3.400 3.400 0 0 0 0-4.800L22.400 3.300a3.400 3.400 0 0 0-4.800 0Z",
    glyph: { x: 20, y: 20, size: 19 },
  },
  3: {
    path: "M18.200 3.600 4 14.100a3.200 3.200 0 0 0-1.100 3.500l5.300 16.700a3.200 3.200 0 0 0 3 2.200h17.600a3.200 3.200 0 0 0 3-2.200l5.300-16.700a3.200 3.200 0 0 0-1.100-3.500L21.800 3.600a3 3 0 0 0-3.600 0Z",
    glyph: { x: 20, y: 21.5, size: 20 },
  },
  4: {
    path: "M8.500 4.500h23a4 4 0 0 1 4 4v23a4 4 0 0 1-4 4h-23a4 4 0 0 1-4-4v-23a4 4 0 0 1 4-4Z",
    glyph: { x: 20, y: 20, size: 21 },
  },
  5: {
    path: "M20 3.500a16.500 16.500 0 1 1 0 33 16.500 16.500 0 0 1 0-33Z",
    glyph: { x: 20, y: 20, size: 20 },
  },
};

export interface Glyph {
  /** Filled path in a box of 24 by 24. */
  readonly fill?: string;
  /** Path drawn as a line of width 2.600 in the same box. */
  readonly line?: string;
}

const FLAME: Glyph = {
  fill: "M12.600 1.800c.600 4.300 6.200 6.900 6.200 13a6.800 6.800 0 0 1-13.600 0c0-2.800 1.300-4.900 2.900-6.600.1 1.900.7 3.200 1.900 4 .900-3.600.1-6.700 2.600-10.400Z",
};
const CROSS: Glyph = { fill: "M9 3h6v6h6v6h-6v6H9v-6H3V9h6Z" };
const PERSON: Glyph = {
  fill: "M12 2a4.300 4.300 0 1 1 0 8.600A4.300 4.300 0 0 1 12 2ZM4.500 22v-3.500A6.500 6.500 0 0 1 11 12h2a6.500 6.500 0 0 1 6.500 6.500V22Z",
};
const WRENCH: Glyph = {
  fill: "M20.900 6.100 17.400 9.600 14.400 6.600 17.900 3.100A5.800 5.800 0 0 0 10.600 10.600L3 18.200a2 2 0 0 0 2.800 2.800l7.600-7.600a5.800 5.800 0 0 0 7.500-7.300Z",
};
const SHIELD: Glyph = {
  fill: "M12 1.800 20.500 5v6.500c0 5.600-3.700 9-8.500 10.700-4.800-1.700-8.500-5.100-8.500-10.700V5Z",
};
const STAR: Glyph = {
  fill: "M12 2l2.900 6.500 7.100.700-5.300 4.700 1.500 7L12 17.300 5.800 20.900l1.500-7L2 9.200l7.100-.7Z",
};

export const TYPE_GLYPHS: Readonly<Record<IncidentType, Glyph>> = {
  fire_building: FLAME,
  fire_other: FLAME,
  gas: { fill: "M7 19a4.700 4.700 0 0 1-.6-9.400 6 6 0 0 1 11.500 1.100A4.200 4.200 0 0 1 17.500 19Z" },
  medical: CROSS,
  traffic_collision: {
    fill: "M6.200 5h11.600l2.200 6 2 1.200V18h-2.500v2.500h-3.500V18H8v2.500H4.500V18H2v-5.800L4 11ZM7.800 7.400 6.600 11h10.800l-1.200-3.600Z",
  },
  crime: SHIELD,
  intrusion: PERSON,
  flood: {
    line: "M2 9c2.500-3 4.200-3 6.700 0s4.200 3 6.700 0 4.200-3 6.600 0M2 17c2.500-3 4.200-3 6.700 0s4.200 3 6.700 0 4.200-3 6.600 0",
  },
  air_quality: { line: "M2.500 9.500h11a3.200 3.200 0 1 0-3.200-3.200M2.500 14.500h15.200a3 3 0 1 1-3 3" },
  noise: { fill: "M3 9h4.500L14 3.500v17L7.500 15H3Z", line: "M17.500 8c2.200 2.200 2.200 5.800 0 8" },
  heat: { fill: "M9 4.500a3 3 0 0 1 6 0v8.300a5.500 5.500 0 1 1-6 0Z" },
  device_fault: WRENCH,
  traffic: {
    fill: "M9.500 2h5L20 20h2v2.500H2V20h2ZM9.400 8.500l-.8 2.800h6.800l-.8-2.800ZM7.700 14.200l-.9 3h10.400l-.9-3Z",
  },
  crowd: {
    fill: "M12 7a3 3 0 1 1 0 6 3 3 0 0 1 0-6ZM5 4a2.600 2.600 0 1 1 0 5.200A2.600 2.600 0 0 1 5 4ZM19 4a2.600 2.600 0 1 1 0 5.200A2.600 2.600 0 0 1 19 4ZM6.500 22v-3.500a4.500 4.500 0 0 1 4.500-4.500h2a4.500 4.500 0 0 1 4.500 4.500V22ZM1.500 17v-3A3.800 3.800 0 0 1 5 10.200h1.500A5.500 5.500 0 0 0 9 14.500 6.500 6.500 0 0 0 5.500 17ZM22.500 17v-3a3.800 3.800 0 0 0-3.500-3.800h-1.500a5.500 5.500 0 0 1-2.500 4.300 6.500 6.500 0 0 1 3.500 2.500Z",
  },
  other: { fill: "M10 3h4l-.7 11.500h-2.600ZM12 17a2.300 2.300 0 1 1 0 4.600 2.300 2.300 0 0 1 0-4.600Z" },
};

export const AGENCY_GLYPHS: Readonly<Record<Agency, Glyph>> = {
  fire: FLAME,
  ambulance: CROSS,
  police: STAR,
  city: WRENCH,
};

export const CAMERA_GLYPH: Glyph = { fill: "M2.500 7h12v10h-12ZM15.500 11l6-3.500v9l-6-3.500Z" };
