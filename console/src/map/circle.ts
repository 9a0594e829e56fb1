/** A circle on the ground as a polygon. */
import type { Feature, Polygon } from "geojson";

/** Metres in one degree of latitude on the mean Earth radius that the model uses. */
const M_PER_DEGREE = (6_371_008.8 * Math.PI) / 180;

export function circle(lon: number, lat: number, radius_m: number, corners = 48): Feature<Polygon> {
  const stretch = Math.cos((lat * Math.PI) / 180);
  const ring = Array.from({ length: corners + 1 }, (_, index) => {
    const angle = (index / corners) * 2 * Math.PI;
    return [
      lon + (Math.sin(angle) * radius_m) / (M_PER_DEGREE * stretch),
      lat + (Math.cos(angle) * radius_m) / M_PER_DEGREE,
    ];
  });
  return { type: "Feature", geometry: { type: "Polygon", coordinates: [ring] }, properties: {} };
}
