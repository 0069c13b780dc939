// The way to the edges: every media request is sent to the best edge known at that moment; what fails is learned from at once,
// and who made this room hears of it when no edge is left that has not failed.
// Steering documents are fetched in the background and never waited for: without a control plane the film goes on.
import type { EdgeChoice, Session, SteeringDocument } from "../api/types";
import { EdgeMeasures } from "./edges";
import { afterFailure, type Health, locate, patience, rank, told } from "./failover";
import { isShakaError, TIMEOUT } from "./problems";
import { type Player, shaka } from "./shaka";
import { deviceId } from "./memory";

/** As often as documents change while a site drains or is full. */
const STEERING_FIRST_MS = 10_000;
const STEERING_MIN_MS = 5_000;
/** An edge that answers well this long after its last failure starts anew. */
const FORGIVEN_MS = 300_000;

export class Network {
  /** The edge that answered last, and how often the player had to leave one. */
  current: EdgeChoice | null = null;
  switches = 0;
  /** The edge that the last request went to, and what each was worth. */
  asked: EdgeChoice | null = null;
  readonly measures = new EdgeMeasures();
  /** Bytes of the film that have come so far, and why the last attempt to get some failed. */
  received_bytes = 0;
  last_error: unknown = null;

  private readonly health = new Map<string, Health>();
  /** Edges that failed since the last byte from any. */
  private readonly silent = new Set<string>();
  private readonly heard = new WeakSet<object>();
  private order: string[] = [];
  /** The session's, and what a steering document named beside: those serve the same files by their own signed addresses. */
  private edges: EdgeChoice[];
  private steering_url: string;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asked_at_ms = 0;
  private ended = false;
  /** Every address that a session or a document named, each once: requests are recognised by them. */
  private known: EdgeChoice[];

  constructor(
    private session: Session,
    /** How long the control plane took to answer Play. */
    private readonly answered_ms: number,
    private readonly throughput: () => number,
    private readonly exhausted: () => void,
  ) {
    this.edges = [...session.edges];
    this.known = [...session.edges];
    this.steering_url = session.steering_url;
    this.schedule(STEERING_FIRST_MS);
  }

  /** Edges of which nothing was asked in vain since the last byte. */
  get untried(): number {
    return this.edges.filter((each) => !this.silent.has(each.pathway)).length;
  }

  get count(): number {
    return this.edges.length;
  }

  /** Takes part in every request of the player until `end`. */
  attach(player: Player): void {
    const net = player.getNetworkingEngine();
    net?.clearAllRequestFilters();
    net?.clearAllResponseFilters();
    net?.registerRequestFilter((type, request) => this.onRequest(type, request));
    net?.registerResponseFilter((type, response) => this.onResponse(type, response));
  }

  end(): void {
    this.ended = true;
    clearTimeout(this.timer);
  }

  /** Goes on with the edges of a newer session of the same title; its files have the same names everywhere. What is known of
   *  edges stays, so that those which the newer session brings are tried before those that have just failed. */
  adopt(session: Session): void {
    this.session = session;
    this.edges = [...session.edges];
    this.learn();
    this.steering_url = session.steering_url;
    this.order = [];
    this.schedule(STEERING_FIRST_MS);
  }

  /** Every edge is given another chance. */
  forgive(): void {
    this.health.clear();
  }

  ranked(): EdgeChoice[] {
    return rank(this.edges, this.health, this.order, Date.now());
  }

  /** Called for each failed attempt, before Shaka Player tries again. */
  failed(uri: string, error: unknown, timed_out: boolean): void {
    const aborted = isShakaError(error) && error.code === 7001 && !timed_out;
    const found = locate(uri, this.known);
    if (aborted || !found) return;
    const { pathway, appliance } = found.edge;
    const before = this.health.get(pathway);
    const after = afterFailure(before, Date.now());
    if (after !== before) this.measures.failed(appliance);
    this.health.set(pathway, after);
    this.last_error = timed_out ? TIMEOUT : error;
    this.silent.add(pathway);
    if (this.untried === 0) this.exhausted();
    if (Date.now() - this.asked_at_ms > STEERING_MIN_MS) this.schedule(200);
  }

  private onRequest(type: number, request: shaka.extern.Request): void {
    const { LICENSE, SEGMENT } = shaka.net.NetworkingEngine.RequestType;
    if (type === LICENSE) {
      request.headers["x-nearcast-session"] = this.session.session_id;
      request.headers["x-nearcast-device"] = deviceId();
      request.headers["content-type"] = "application/json";
      request.uris = request.uris.map(withoutCmcd);
      return;
    }
    if (type !== SEGMENT) return;
    const found = locate(request.uris[0] ?? "", this.known);
    const best = this.ranked()[0];
    if (!found || !best) return;
    this.listen(request);
    // Shaka counts attempts through this list; the choice is made anew for each, so every place in it holds the best.
    const uri = best.base_url + found.rest;
    this.asked = best;
    request.uris = request.uris.map(() => uri);
    const attempt = (request as { attempt?: number }).attempt ?? 0;
    const { connection_ms, stall_ms } = patience(attempt, this.edges.length, this.received_bytes > 0, this.answered_ms);
    request.retryParameters.connectionTimeout = connection_ms;
    request.retryParameters.stallTimeout = stall_ms;
  }

  /** Counts the request's bytes as they come; of a slow segment as well, and of no error's body. */
  private listen(request: shaka.extern.Request): void {
    if (this.heard.has(request)) return;
    this.heard.add(request);
    const before = request.streamDataCallback;
    request.streamDataCallback = async (data) => {
      this.received_bytes += data.byteLength;
      this.silent.clear();
      await before?.(data);
    };
  }

  private onResponse(type: number, response: shaka.extern.Response): void {
    if (type !== shaka.net.NetworkingEngine.RequestType.SEGMENT) return;
    const found = locate(response.originalUri, this.known);
    if (!found) return;
    if (this.current && this.current.pathway !== found.edge.pathway) this.switches += 1;
    this.current = found.edge;
    if (!response.fromCache) this.measures.received(found.edge.appliance, response.data.byteLength, response.timeMs ?? 0);
    const health = this.health.get(found.edge.pathway);
    if (health && Date.now() - health.failed_at_ms > FORGIVEN_MS) this.health.delete(found.edge.pathway);
  }

  private learn(): void {
    this.known = [...new Map([...this.known, ...this.edges].map((each) => [each.base_url, each])).values()];
  }

  private schedule(in_ms: number): void {
    clearTimeout(this.timer);
    if (!this.ended && this.steering_url) this.timer = setTimeout(() => void this.steer(), in_ms);
  }

  private async steer(): Promise<void> {
    this.asked_at_ms = Date.now();
    const session = this.session;
    // A document of an older session names that one's edges; the newer has brought its own, and asks for itself.
    const outdated = (): boolean => this.ended || this.session !== session;
    let again_s = 60;
    try {
      const url = new URL(this.steering_url, location.href);
      url.searchParams.set("_DASH_pathway", this.current?.pathway ?? this.ranked()[0]?.pathway ?? "");
      url.searchParams.set("_DASH_throughput", String(Math.round(this.throughput())));
      const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
      if (response.ok) {
        const document = (await response.json()) as SteeringDocument;
        if (outdated()) return;
        this.order = document["SERVICE-LOCATION-PRIORITY"] ?? document["PATHWAY-PRIORITY"] ?? [];
        this.edges = told(session.edges, document["X-NEARCAST-EDGES"] ?? []);
        this.learn();
        if (document["RELOAD-URI"]) this.steering_url = new URL(document["RELOAD-URI"], url).href;
        again_s = Math.max(5, document.TTL || 60);
      }
    } catch {
      // The control plane is away: the order we have is good enough, and we ask again later.
    }
    if (!outdated()) this.schedule(again_s * 1000);
  }
}

/** CMCD is for the edges; the control plane's addresses stay as they were given. */
function withoutCmcd(uri: string): string {
  const url = new URL(uri, location.href);
  url.searchParams.delete("CMCD");
  return url.href;
}
