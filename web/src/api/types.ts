// The nouns of the HTTP API, field for field as in the model room: what the gateway sends is these, as JSON.

export type Role = "viewer" | "admin";
export type SubscriptionState = "active" | "lapsed";
export type TitleState = "processing" | "playable" | "complete" | "unpublished";
export type JobState = "uploading" | "queued" | "running" | "done" | "failed" | "cancelled";
export type Rating = -1 | 0 | 1 | 2;

export interface Problem {
  code: string;
  message: string;
  hint: string;
  request_id: string;
  status: number;
}

export interface Profile {
  id: string;
  name: string;
  avatar: string;
  audio_language: string;
  text_language: string;
}

export interface Account {
  id: string;
  email: string;
  role: Role;
  subscription: SubscriptionState;
  profiles: Profile[];
  created_at: number;
}

export interface Me {
  account: Account;
  profile: Profile;
}

export interface LoginAnswer extends Me {
  token: string;
  expires_at: number;
}

export interface Metadata {
  name: string;
  synopsis: string;
  year: number | null;
  genres: string[];
  credit: string;
}

export interface Title {
  id: string;
  metadata: Metadata;
  state: TitleState;
  runtime_s: number;
  max_height: number;
  poster_url: string;
  published_at: number;
  audio_languages: string[];
  text_languages: string[];
  clear: boolean;
  position_s: number | null;
  in_my_list: boolean;
  rating: Rating;
}

export interface Row {
  id: string;
  name: string;
  titles: Title[];
}

export interface TitleList {
  titles: Title[];
  total: number;
}

export interface Thumbnails {
  url?: string;
  columns: number;
  rows: number;
  tile_width: number;
  tile_height: number;
  interval_s: number;
  count: number;
}

export interface EdgeChoice {
  pathway: string;
  site: string;
  appliance: string;
  base_url: string;
}

export interface Session {
  session_id: string;
  title_id: string;
  dash_url: string;
  hls_url: string;
  manifest: string;
  license_url: string;
  steering_url: string;
  heartbeat_s: number;
  resume_s: number;
  edges: EdgeChoice[];
  clear: boolean;
  steering_source: "live" | "last-known";
}

/** Since the heartbeat before. A stall belongs to the edge that was waited for; a failure is a request that was asked elsewhere. */
export interface EdgeMeasured {
  edge: string;
  watched_s: number;
  stalled_s: number;
  failures: number;
  throughput_bps: number;
}

export interface Heartbeat {
  position_s: number;
  buffer_s: number;
  rendition: string;
  stalled_s: number;
  dropped_frames: number;
  throughput_bps: number;
  edge: string;
  state: "playing" | "paused" | "ended" | "failed";
  error_code: string;
  edges: EdgeMeasured[];
}

export interface SteeringDocument {
  VERSION: number;
  TTL: number;
  "RELOAD-URI": string;
  "PATHWAY-PRIORITY": string[];
  "SERVICE-LOCATION-PRIORITY": string[];
  /** Where each of them is, those included that the session did not begin with. */
  "X-NEARCAST-EDGES"?: EdgeChoice[];
}

export interface Progress {
  stage: string;
  item: string;
  done: number;
  total: number;
  unit: string;
  eta_s: number | null;
}

export interface IngestEvent {
  sequence: number;
  at: number;
  kind: "state" | "progress" | "playable" | "rendition" | "warning" | "error";
  text: string;
  state: JobState | null;
  progress: Progress | null;
  error_code: string;
  hint: string;
}

export interface IngestJob {
  id: string;
  title_id: string;
  name: string;
  state: JobState;
  created_at: number;
  updated_at: number;
  playable: boolean;
  progress: Progress[];
  error_code: string;
  error: string;
  hint: string;
  uploaded_bytes: number;
  size_bytes: number;
}

export interface JobEvents {
  job: IngestJob;
  events: IngestEvent[];
}

export interface UploadAnswer {
  job: IngestJob;
  upload_url: string;
  expires_at: number;
}

export interface ApplianceReport {
  id: string;
  site: string;
  address: string;
  health_url: string;
  state: "up" | "draining" | "down";
  holdings: Record<string, number>;
  held_bytes: number;
  missing_bytes: number;
  capacity_bytes: number;
  reactive_bytes: number;
  disk_free_bytes: number;
  sent_bps: number;
  limit_bps: number;
  load: "normal" | "high" | "full";
  connections: number;
  connections_max: number;
  fill_bps: number;
  problem: string;
  requests_total: number;
  sent_bytes_total: number;
  placed_bytes_total: number;
  reactive_bytes_total: number;
  missed_bytes_total: number;
  lease_s: number;
}

export interface Appliance {
  report: ApplianceReport;
  age_s: number;
}

/** What is believed of an appliance: its own word, looks from outside and the votes of others, merged (GET /api/v1/routes). */
export interface ApplianceHealth {
  id: string;
  site: string;
  state: "up" | "draining" | "down";
  why: string;
  load: "normal" | "high" | "full";
  heard: boolean;
}

export interface Candidate {
  site: string;
  source: string;
  prefix: string;
  as_path: number[];
  med: number;
  order: number;
  distance_km: number;
  why: string;
}

export interface Considered {
  appliance: string;
  site: string;
  verdict: "chosen" | "spare" | "rejected";
  why: string;
}

export interface Explanation {
  address: string;
  counted_as: string;
  prefix: string;
  table_version: number;
  candidates: Candidate[];
  considered: Considered[];
  last_known: boolean;
  /** What the decisions of the play service know and this one does not. */
  note: string;
}

export interface PlannedAnnouncement {
  prefix: string;
  isp: string;
  site: string;
  as_path: number[];
  med: number;
}

/** What POST /api/v1/routes/rehearse takes. */
/** What is left out stays as it is in force. */
export interface PlannedSteering {
  sites?: { name: string; tier?: string; zone?: string; parents?: string[]; isp?: string; latitude?: number; longitude?: number }[];
  isps?: { name: string; asn: number; sites?: string[]; allow?: string[]; prefixes_max?: number }[];
  asn?: number;
  geographic?: { mmdb?: string; blocks?: Record<string, string[]> };
  routes?: { prefix: string; sites: string[] }[];
}
export interface Rehearse extends PlannedSteering {
  announce: PlannedAnnouncement[];
  withdraw: { prefix: string; isp: string; site: string }[];
}

export interface Moved {
  prefix: string;
  addresses: number;
  before: string[];
  after: string[];
}

export interface Rehearsal {
  moved: Moved[];
  moved_total: number;
  refused: { prefix: string; source: string; why: string }[];
  refused_total: number;
  accepted: { prefix: string; source: string }[];
  accepted_total: number;
  changes: string[];
}

export interface RouteSource {
  name: string;
  kind: "config" | "bgp" | "geographic";
  state: "up" | "down" | "loaded";
  prefixes: number;
  refused: number;
  last_refused: string;
  last_refused_at: number;
  problem: string;
}

export interface RoutingStatus {
  version: number;
  prefixes_ipv4: number;
  prefixes_ipv6: number;
  overlay: number;
  compiled_at: number;
  sources: RouteSource[];
  health: { version: number; source: "live" | "last-known" };
}
