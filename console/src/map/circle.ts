/** A circle or a part of one on the ground, as a polygon. */
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

/** What a camera sees: from its place `reach_m` far, `field_deg` wide around `heading_deg` (0 north, clockwise). */
export function wedge(
  place: { readonly lon: number; readonly lat: number },
  heading_deg: number,
  field_deg: number,
  reach_m: number,
): Feature<Polygon> {
  const stretch = Math.cos((place.lat * Math.PI) / 180);
  const steps = Math.max(2, Math.ceil(field_deg / 5));
  const arc = Array.from({ length: steps + 1 }, (_, index) => {
    const angle = ((heading_deg - field_deg / 2 + (field_deg * index) / steps) * Math.PI) / 180;
    return [
      place.lon + (Math.sin(angle) * reach_m) / (M_PER_DEGREE * stretch),
      place.lat + (Math.cos(angle) * reach_m) / M_PER_DEGREE,
    ];
  });
  const eye = [place.lon, place.lat];
  return {
    type: "Feature",
    geometry: { type: "Polygon", coordinates: [[eye, ...arc, eye]] },
    properties: {},
  };
}
