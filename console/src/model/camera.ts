/** Cameras as the city has set them up, and their recordings: the nouns of model/video.py as they travel. */
import type { Place } from "./types";

/** (x, y) of the picture from 0,0 at the top left to 1,1 at the bottom right. */
export type Point = readonly [number, number];

export const TRANSPORTS = ["tcp", "udp"] as const;
export type Transport = (typeof TRANSPORTS)[number];

export const OBJECT_CLASSES = ["person", "bicycle", "car", "motorcycle", "bus", "truck"] as const;
export type ObjectClass = (typeof OBJECT_CLASSES)[number];

export const VIDEO_EVENT_KINDS = [
  "zone_intrusion",
  "line_crossing",
  "wrong_way",
  "stopped_vehicle",
  "congestion",
  "crowd",
  "object_left",
  "camera_covered",
  "camera_moved",
  "camera_defocused",
  "camera_frozen",
  "smoke",
  "flame",
] as const;
export type VideoEventKind = (typeof VIDEO_EVENT_KINDS)[number];

/** A rule by its kind; which further fields it has is in editor/kinds.ts. */
export interface VideoRule {
  readonly kind: string;
  readonly name: string;
  readonly [field: string]: unknown;
}

export interface Mask {
  readonly name: string;
  readonly polygon: readonly Point[];
}

export interface Calibration {
  readonly picture: readonly Point[];
  /** (longitude, latitude) of the same points, in degrees. */
  readonly ground: readonly Point[];
}

export interface RetentionPolicy {
  readonly max_age_days?: number | null;
  readonly max_gb?: number | null;
}

export interface CameraSetup {
  readonly id: string;
  readonly name: string;
  readonly place: Place;
  readonly url: string;
  readonly sub_url?: string;
  readonly transport?: Transport;
  readonly onvif_url?: string;
  readonly heading_deg?: number;
  readonly field_of_view_deg?: number;
  readonly rules?: readonly VideoRule[];
  readonly masks?: readonly Mask[];
  readonly blur_persons?: boolean;
  readonly calibration?: Calibration | null;
  readonly retention?: RetentionPolicy;
  readonly audio?: boolean;
  readonly enabled?: boolean;
  readonly simulated?: boolean;
  readonly shard?: number;
}

export interface Hold {
  readonly id: string;
  readonly camera_id: string;
  readonly start: string;
  readonly end: string;
  readonly reason: string;
  readonly by: string;
  readonly at: string;
  readonly incident_id?: string;
  readonly released_at?: string | null;
  readonly released_by?: string;
}

export interface Span {
  readonly start: string;
  readonly end: string;
}

export interface Gap extends Span {
  readonly reason?: string;
}

export interface TimelineEvent {
  readonly at: string;
  readonly kind: string;
  readonly rule?: string;
  readonly why?: string;
  readonly score?: number;
  /** The id under which its snapshot is asked for; empty when there is none. */
  readonly snapshot?: string;
}

export interface CameraTimeline {
  readonly recordings?: readonly Span[];
  readonly gaps?: readonly Gap[];
  readonly events?: readonly TimelineEvent[];
  readonly holds?: readonly Hold[];
}

export interface PlaybackToken {
  readonly token: string;
  readonly expires_at: string;
}

/** One stream that a camera offers; no `url` when the camera puts an account into it. */
export interface OfferedStream {
  readonly name: string;
  readonly url: string;
  readonly codec: string;
  readonly width: number;
  readonly height: number;
  readonly fps: number;
}

/** A camera as it describes itself by ONVIF, with the streams to record and to watch. */
export interface DescribedCamera {
  readonly manufacturer: string;
  readonly model: string;
  readonly firmware: string;
  readonly url: string;
  readonly sub_url: string;
  readonly streams: readonly OfferedStream[];
}

export interface DiscoveredCamera {
  readonly name: string;
  readonly address: string;
  readonly onvif_url: string;
}

export interface ProbeResult {
  readonly state: string;
  readonly reason?: string;
  readonly codec?: string;
  readonly width?: number;
  readonly height?: number;
  readonly fps?: number;
}

/** On what ground somebody looks; each look is written down with it. */
export interface Ground {
  readonly incident_id: string;
  readonly purpose: string;
  /** The picture without masks, for those with the right. */
  readonly unmasked?: boolean;
}
