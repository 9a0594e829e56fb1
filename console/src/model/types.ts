/** The nouns of src/safecity/model as they travel: JSON, defaults left out, times as RFC 3339 UTC text. */
import type { CameraSetup, Hold } from "./camera";

export const PRIORITIES = [1, 2, 3, 4, 5] as const;
export type Priority = (typeof PRIORITIES)[number];

export const AGENCIES = ["fire", "ambulance", "police", "city"] as const;
export type Agency = (typeof AGENCIES)[number];

export const INCIDENT_TYPES = [
  "fire_building",
  "fire_other",
  "gas",
  "medical",
  "traffic_collision",
  "crime",
  "intrusion",
  "flood",
  "air_quality",
  "noise",
  "heat",
  "device_fault",
  "traffic",
  "crowd",
  "other",
] as const;
export type IncidentType = (typeof INCIDENT_TYPES)[number];

export const INCIDENT_STATES = [
  "new",
  "acknowledged",
  "dispatched",
  "on_scene",
  "cleared",
  "closed",
] as const;
export type IncidentState = (typeof INCIDENT_STATES)[number];

export const DISPOSITIONS = ["real", "false", "test", "duplicate", "unknown"] as const;
export type Disposition = (typeof DISPOSITIONS)[number];

export const CALL_STATES = ["ringing", "claimed", "taken", "submitted", "abandoned", "closed"] as const;
export type CallState = (typeof CALL_STATES)[number];

export const UNIT_STATES = [
  "available",
  "dispatched",
  "en_route",
  "on_scene",
  "out_of_service",
  "off_duty",
] as const;
export type UnitState = (typeof UNIT_STATES)[number];

export const ASSIGNMENT_STATES = ["dispatched", "en_route", "on_scene", "cleared", "cancelled"] as const;
export type AssignmentState = (typeof ASSIGNMENT_STATES)[number];

export const CAPABILITIES = [
  "engine",
  "ladder",
  "rescue",
  "ambulance",
  "emergency_doctor",
  "patrol",
] as const;
export type Capability = (typeof CAPABILITIES)[number];

export const CAMERA_STATES = ["connecting", "live", "stalled", "lost", "refused"] as const;
export type CameraState = (typeof CAMERA_STATES)[number];

export const OBSERVATION_KINDS = ["reading", "position", "call", "video", "device", "manual"] as const;
export type ObservationKind = (typeof OBSERVATION_KINDS)[number];

export const ENTITY_KINDS = [
  "incident",
  "alarm",
  "call",
  "unit",
  "assignment",
  "camera",
  "source",
  "station",
  "camera_setup",
  "hold",
] as const;
export type EntityKind = (typeof ENTITY_KINDS)[number];

export interface Place {
  readonly lon: number;
  readonly lat: number;
  readonly uncertainty_m?: number;
  readonly text?: string;
}

export interface Reason {
  readonly code: string;
  readonly params?: Readonly<Record<string, number | string>>;
  readonly text?: string;
}

export interface Link {
  readonly alarm_id: string;
  readonly source_id: string;
  readonly source_name: string;
  readonly observation_kind: ObservationKind;
  readonly at: string;
  readonly reason: Reason;
}

export interface Incident {
  readonly id: string;
  readonly number: string;
  readonly type: IncidentType;
  readonly state: IncidentState;
  readonly priority: Priority;
  readonly priority_reason: Reason;
  readonly place: Place;
  readonly opened_at: string;
  readonly event_time: string;
  readonly action_text?: string;
  readonly response_time_s?: number;
  readonly agencies?: readonly Agency[];
  readonly links?: readonly Link[];
  readonly acknowledged_at?: string | null;
  readonly acknowledged_by?: string;
  readonly dispatched_at?: string | null;
  readonly on_scene_at?: string | null;
  readonly cleared_at?: string | null;
  readonly closed_at?: string | null;
  readonly disposition?: Disposition | null;
  readonly notes?: readonly string[];
  readonly simulated?: boolean;
}

export interface Call {
  readonly id: string;
  readonly state: CallState;
  readonly received_at: string;
  readonly line?: string;
  readonly caller_number?: string;
  readonly language?: string;
  readonly caller_place?: Place | null;
  readonly caller_words?: string;
  readonly claimed_by?: string;
  readonly claimed_at?: string | null;
  readonly taken_at?: string | null;
  readonly ended_at?: string | null;
  readonly place?: Place | null;
  readonly type?: IncidentType | null;
  readonly notes?: string;
  readonly incident_id?: string;
  readonly close_reason?: string;
  readonly simulated?: boolean;
}

export interface Unit {
  readonly id: string;
  readonly call_sign: string;
  readonly agency: Agency;
  readonly capabilities: readonly Capability[];
  readonly station_id: string;
  readonly home: Place;
  /** Left out on the wire when it is "available"; the store puts it back. */
  readonly state: UnitState;
  readonly state_since?: string | null;
  readonly assignment_id?: string;
  readonly incident_id?: string;
  readonly simulated?: boolean;
}

export interface Assignment {
  readonly id: string;
  readonly incident_id: string;
  readonly unit_id: string;
  readonly call_sign: string;
  readonly state: AssignmentState;
  readonly dispatched_at: string;
  readonly dispatched_by: string;
  readonly reason: Reason;
  readonly place: Place;
  readonly expected_travel_s?: number | null;
  readonly en_route_at?: string | null;
  readonly on_scene_at?: string | null;
  readonly cleared_at?: string | null;
}

export interface Camera {
  readonly id: string;
  readonly name: string;
  readonly place: Place;
  readonly heading_deg: number;
  readonly field_of_view_deg: number;
  /** Left out on the wire when it is "connecting"; the store puts it back. */
  readonly state: CameraState;
  readonly state_since?: string | null;
  readonly state_reason?: string;
  readonly recording?: boolean;
  readonly simulated?: boolean;
}

export interface Station {
  readonly id: string;
  readonly name: string;
  readonly agency: Agency;
  readonly place: Place;
}

export interface Source {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly place: Place;
  readonly property?: string;
  readonly unit?: string;
  readonly period_s?: number;
  readonly simulated?: boolean;
}

export interface Alarm {
  readonly id: string;
  readonly rule_id: string;
  readonly source_id: string;
  readonly source_name: string;
  readonly observation_kind: ObservationKind;
  readonly type: IncidentType;
  readonly priority: Priority;
  readonly reason: Reason;
  readonly place: Place;
  readonly event_time: string;
  readonly raised_at: string;
  readonly link_reason: Reason;
}

export interface Pick {
  readonly unit_id: string;
  readonly call_sign: string;
  readonly agency: Agency;
  readonly capability: Capability;
  readonly travel_time_s: number;
  readonly distance_m: number;
  readonly reason: Reason;
}

export interface Shortfall {
  readonly capability: Capability;
  readonly reason: Reason;
}

export interface Recommendation {
  readonly incident_id: string;
  readonly picks: readonly Pick[];
  readonly shortfalls: readonly Shortfall[];
  readonly computed_at: string;
  readonly compute_ms: number;
}

export interface TimelineEntry {
  readonly seq: number;
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly text?: string;
}

export interface NearCamera {
  readonly camera_id: string;
  readonly name: string;
  readonly distance_m: number;
}

export interface IncidentDetail {
  readonly incident: Incident;
  readonly alarms: readonly Alarm[];
  readonly calls: readonly Call[];
  readonly assignments: readonly Assignment[];
  readonly timeline: readonly TimelineEntry[];
  readonly cameras: readonly NearCamera[];
}

export interface Actor {
  readonly id: string;
  readonly name: string;
  readonly roles?: readonly string[];
}

export interface City {
  readonly name: string;
  readonly bbox: readonly [number, number, number, number];
  readonly center: readonly [number, number];
}

export interface Session {
  readonly actor: Actor;
  readonly csrf_token: string;
  readonly simulated?: boolean;
  readonly city?: City;
}

export interface FoundPlace {
  readonly text: string;
  readonly kind: string;
  readonly lon: number;
  readonly lat: number;
}

export interface JournalEntry {
  readonly seq: number;
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly object_kind: string;
  readonly object_id: string;
  readonly text?: string;
  readonly purpose?: string;
}

export interface JournalPage {
  readonly entries: readonly JournalEntry[];
  readonly head: number;
}

export interface CheckReport {
  readonly ok: boolean;
  readonly entries: number;
  readonly head_hash: string;
  readonly findings: readonly unknown[];
}

/** [unit_id, lon, lat, speed_mps, heading_deg, fix_time_ms] */
export type WireFix = readonly [string, number, number, number, number, number];

export interface Status {
  readonly now: string;
  readonly readings_per_s: number;
  readonly alarms_10min: number;
  readonly recording: number;
  readonly cameras: number;
  readonly roles: Readonly<Record<string, string>>;
  readonly simulated?: boolean;
}

export interface Entities {
  readonly incident: Incident;
  readonly alarm: Alarm;
  readonly call: Call;
  readonly unit: Unit;
  readonly assignment: Assignment;
  readonly camera: Camera;
  readonly source: Source;
  readonly station: Station;
  readonly camera_setup: CameraSetup;
  readonly hold: Hold;
}

export interface SnapshotMessage {
  readonly type: "snapshot";
  readonly seq: number;
  readonly entities: { readonly [K in EntityKind]?: readonly Entities[K][] };
  readonly positions?: readonly WireFix[];
}

export interface EntityChange {
  readonly kind: EntityKind;
  readonly id: string;
  readonly value: unknown;
}

export interface ChangeMessage {
  readonly type: "change";
  readonly seq: number;
  readonly changes: readonly EntityChange[];
}

export type LiveMessage =
  | SnapshotMessage
  | ChangeMessage
  | { readonly type: "resumed"; readonly seq: number }
  | { readonly type: "positions"; readonly fixes: readonly WireFix[] }
  | ({ readonly type: "status" } & Status)
  | { readonly type: "pong"; readonly t: number };
