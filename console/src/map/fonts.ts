/** Labels are drawn from the same font files as the page: no glyph server (console requirement). */
import cyrillic from "@fontsource/noto-sans/files/noto-sans-cyrillic-500-normal.woff2?url";
import cyrillicExt from "@fontsource/noto-sans/files/noto-sans-cyrillic-ext-500-normal.woff2?url";
import latin from "@fontsource/noto-sans/files/noto-sans-latin-500-normal.woff2?url";
import latinExt from "@fontsource/noto-sans/files/noto-sans-latin-ext-500-normal.woff2?url";

export const LABEL_FONT = "Noto Sans";

export interface FontFace {
  url: string;
  "unicode-range": string[];
}

/** The faces by Unicode range, as @fontsource/noto-sans cuts them; URLs are absolute for the map's worker. */
export function fontFaces(origin: string): Record<string, FontFace[]> {
  const face = (url: string, ...ranges: string[]): FontFace => ({
    url: new URL(url, origin).href,
    "unicode-range": ranges,
  });
  return {
    [LABEL_FONT]: [
      face(latin, "U+0000-00FF", "U+0131", "U+0152-0153", "U+02BB-02BC", "U+2000-206F", "U+20AC", "U+2122"),
      face(latinExt, "U+0100-02BA", "U+02BD-02C5", "U+1E00-1E9F", "U+1EF2-1EFF"),
      face(cyrillic, "U+0301", "U+0400-045F", "U+0490-0491", "U+04B0-04B1", "U+2116"),
      face(cyrillicExt, "U+0460-048F", "U+0492-04AF", "U+04B2-052F"),
    ],
  };
}
