// One play from click to end: asks the control plane once, loads the inline manifest, starts, recovers, reports. There is one
// video element and one Shaka Player for the whole visit, made ready before anyone presses Play.
import { ask, ApiError, problemOf } from "../api/client";
import type { Heartbeat, Session } from "../api/types";
import { bookmark } from "../state/titles";
import { me } from "../state/session";
import { Bound } from "./bound";
import { dressCaptions } from "./captions";
import { Choices } from "./choices";
import { deviceLines, rehearseDecoding } from "./device";
import { firstFrame } from "./firstframe";
import { givesUp, type Wait, waited } from "./giveup";
import { heartbeat } from "./heartbeat";
import { measure } from "./measures";
import { deviceId, keep, preferences, recentSpeed } from "./memory";
import { Network } from "./network";
import { Once } from "./once";
import { isShakaError, isTransient, playerProblem, TIMEOUT } from "./problems";
import { Reporter } from "./reporter";
import { configuration, inline, type Player, prepare, rehearse, shaka, STEADY } from "./shaka";
import * as state from "./state";
import { chooseCaption } from "./tracks";
import { Watcher } from "./watcher";
import { within } from "./within";

/** A new session is asked for this often at most; how slowly the edges are tried again; how often is looked whether all is in vain. */
const RENEWAL_PAUSE_MS = 10_000;
const RECONNECT_MAX_MS = 8_000;
const WATCH_MS = 500;
/** A player that has not got hold of the video element by then never will. */
const ATTACH_MAX_MS = 5_000;

class Engine {
  readonly video = document.createElement("video");
  player: Player | null = null;
  network: Network | null = null;
  readonly choices = new Choices(() => this.player);
  private readonly bound = new Bound();
  private watcher: Watcher | null = null;
  private reporter: Reporter | null = null;
  private session: Session | null = null;
  /** Aborted when the play is left or has failed: what is under way for it comes to nothing. */
  private play = new AbortController();
  private request_id = "";
  private answered_ms = 0;
  private renewed_at_ms = 0;
  private tries = 0;
  private recovering = false;
  private place_s: number | undefined;
  private wait: Wait | null = null;
  private watch: ReturnType<typeof setInterval> | undefined;
  private readonly warmed = new Once(() => this.setUp());

  /** Everything that can be done before a title is chosen. Safe to call often. */
  warm(): Promise<void> {
    return this.warmed.done();
  }

  private async setUp(): Promise<void> {
    prepare();
    if (!shaka.Player.isBrowserSupported()) throw { category: 4, code: 4032 };
    const stage = document.getElementById("stage");
    if (!stage) throw new Error("the page has no stage");
    this.watcher ??= this.mount(stage);
    await this.furnish(stage);
    void rehearse();
    void rehearseDecoding();
  }

  /** Puts the video element on the stage. */
  private mount(stage: HTMLElement): Watcher {
    const { video } = this;
    video.playsInline = true;
    video.preload = "auto";
    video.dataset["testid"] = "video";
    video.volume = preferences().volume;
    video.muted = preferences().muted;
    stage.append(video);
    return new Watcher(video, {
      playing: () => (this.tries = 0),
      paused: () => this.reporter?.beat("paused"),
      seeked: () => this.reporter?.beat(),
      ended: () => {
        if (this.session) bookmark(this.session.title_id, null);
        this.reporter?.beat("ended");
      },
    });
  }

  private async furnish(stage: HTMLElement): Promise<void> {
    const player = new shaka.Player();
    player.setVideoContainer(stage);
    player.addEventListener("error", (event) => void this.onError((event as unknown as { detail: unknown }).detail));
    for (const name of ["trackschanged", "variantchanged", "textchanged", "adaptation", "audiotrackschanged", "texttrackvisibility"]) {
      player.addEventListener(name, () => this.choices.refresh());
    }
    player.addEventListener("downloadfailed", (event) => {
      const { request, error, aborted } = event as unknown as { request: { uris: string[] }; error: unknown; aborted: boolean };
      this.network?.failed(request.uris[0] ?? "", error, aborted);
    });
    dressCaptions(player);
    // Where this fails Shaka Player waits for itself, for ever: such a player is left as it is, and the next play makes another.
    // A tab that was never looked at loads no media, which is no failure.
    await within(ATTACH_MAX_MS, player.attach(this.video), () => !document.hidden);
    this.player = player;
    measure({ player });
  }

  /** A player that waits for silent edges does so to the end of its attempts, and would keep the next play waiting, too. It is
   *  thrown away with all that is under way; the next play finds a new one. */
  private replace(): void {
    const { player } = this;
    const stage = document.getElementById("stage");
    if (!player || !stage) return;
    this.player = null;
    const ended = Promise.all([player.getNetworkingEngine()?.destroy(), player.destroy()]);
    void this.warmed.begin(ended.catch(() => undefined).then(() => this.furnish(stage)));
  }

  /** Plays a title; done when its first frame is on the screen, it failed (which the state tells), or it was left.
   *  `clicked_at_ms` is on the clock of `performance.now()`; `from_s` overrides the bookmark. */
  async start(title_id: string, clicked_at_ms: number, from_s?: number): Promise<void> {
    performance.mark("nearcast:click", { startTime: clicked_at_ms });
    this.letGo();
    this.play = new AbortController();
    const { signal } = this.play;
    state.reset(title_id);
    this.watcher?.reset();
    this.tries = 0;
    this.renewed_at_ms = 0;
    this.place_s = from_s;
    this.choices.reset();
    try {
      // The question to the control plane is already on its way while the player is made ready.
      const asked = this.ask(title_id);
      asked.catch(() => undefined);
      await this.warm();
      const session = await asked;
      if (signal.aborted) return;
      const seen = this.awaitFrame(signal, clicked_at_ms);
      this.watch = setInterval(() => this.look(), WATCH_MS);
      await this.begin(signal, session, from_s ?? session.resume_s);
      await seen;
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    }
  }

  /** The play that failed, once more: from where the viewer was, or wanted to begin. */
  again(clicked_at_ms: number): Promise<void> {
    return this.start(state.titleId.peek(), clicked_at_ms, this.place_s);
  }

  /** A start that finds all its edges dead is tried again, with the edges of a new session, until `look` ends it. */
  private async begin(signal: AbortSignal, session: Session, from_s: number): Promise<void> {
    for (let current = session; !signal.aborted; current = this.session ?? current) {
      try {
        return await this.load(signal, current, from_s);
      } catch (error) {
        if (signal.aborted || !isTransient(playerProblem(error, this.request_id).code)) throw error;
      }
      await this.renew();
      await this.pause();
    }
  }

  private async ask(title_id: string): Promise<Session> {
    const device = { id: deviceId(), max_height: deviceLines(), throughput_bps: recentSpeed(Date.now()), user_agent: navigator.userAgent };
    const asked_at_ms = performance.now();
    const { value, request_id } = await ask<Session>("POST", "/api/v1/play", { body: { title_id, device }, timeout_ms: 10_000 });
    this.request_id = request_id;
    this.answered_ms = performance.now() - asked_at_ms;
    return value;
  }

  private async load(signal: AbortSignal, session: Session, from_s: number): Promise<void> {
    const player = this.player;
    if (!player) return;
    this.session = session;
    state.session.value = session;
    this.network ??= new Network(
      session,
      this.answered_ms,
      () => player.getStats().estimatedBandwidth || preferences().throughput_bps,
      () => void this.renew(),
    );
    measure({ session, network: this.network });
    const license_url = new URL(session.license_url, location.href).href;
    const profile = me.value?.profile;
    const audio = preferences().audio || profile?.audio_language || "";
    const captions = preferences().captions;
    player.configure(configuration(session, license_url, { audio, text: captions === "off" ? "" : captions || profile?.text_language || "" }));
    this.network.attach(player);
    this.video.autoplay = true;
    await player.load(inline(session.session_id, session.manifest), from_s > 1 ? from_s : null, "application/dash+xml");
    if (signal.aborted) return;
    state.soundOnly.value = player.getVideoTracks().length === 0;
    chooseCaption(player, captions || profile?.text_language || "off");
    this.choices.refresh();
    this.reporter?.end();
    this.reporter = this.report(session);
    await this.letSoundOut();
  }

  /** Heartbeats of this play. What one of them could not bring, the next does. */
  private report(session: Session): Reporter {
    const { network } = this;
    return new Reporter(
      session.heartbeat_s,
      () => this.session?.session_id ?? session.session_id,
      () => this.told(),
      (heartbeat) => network?.measures.giveBack(heartbeat.edges),
    );
  }

  private told(): Heartbeat {
    const { video, player, network, watcher } = this;
    this.measureEdges();
    const edge = network?.current?.appliance ?? "";
    return heartbeat({ video, player, stalled_s: watcher?.stalled_s ?? 0, edge, edges: network?.measures.take() ?? [] });
  }

  private measureEdges(): void {
    const { network, video, watcher } = this;
    network?.measures.look({
      now_ms: performance.now(),
      position_s: video.currentTime,
      stalled_s: watcher?.stalled_s ?? 0,
      serving: network.current?.appliance ?? "",
      asked: network.asked?.appliance ?? "",
    });
  }

  /** Where a browser lets no sound out before a click (a page that was reloaded), the film plays on in silence and says so. */
  private async letSoundOut(): Promise<void> {
    if (!this.video.paused) return;
    try {
      await this.video.play();
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== "NotAllowedError") return;
      this.video.muted = true;
      state.silenced.value = true;
      await this.video.play().catch(() => undefined);
    }
  }

  private async awaitFrame(signal: AbortSignal, clicked_at_ms: number): Promise<void> {
    measure({ clickToFrame_ms: null, startup_ms: null });
    if (!(await firstFrame(this.video, () => state.soundOnly.value, signal)) || signal.aborted) return;
    const took_ms = performance.now() - clicked_at_ms;
    performance.mark("nearcast:first-frame");
    state.startup_ms.value = took_ms;
    measure({ clickToFrame_ms: took_ms, startup_ms: took_ms });
    const { player } = this;
    player?.configure({ abr: { enabled: true }, streaming: STEADY });
    if (player) void this.bound.measure(player);
    this.choices.refresh();
  }

  /** Ends the play and keeps the player ready for the next. */
  async stop(): Promise<void> {
    const inVain = this.wait !== null;
    this.letGo();
    state.status.value = "idle";
    if (inVain) this.replace();
    else await this.player?.unload().catch(() => undefined);
  }

  private letGo(): void {
    this.play.abort();
    const bandwidth = this.player?.getStats().estimatedBandwidth ?? 0;
    if (this.session && bandwidth > 0) keep({ throughput_bps: bandwidth, throughput_at_ms: Date.now() });
    if (this.session && this.video.currentTime > 1) bookmark(this.session.title_id, this.video.ended ? null : this.video.currentTime);
    this.reporter?.end(this.video.ended ? "ended" : "paused");
    this.network?.end();
    clearInterval(this.watch);
    this.wait = null;
    this.reporter = null;
    this.network = null;
    this.session = null;
    this.video.autoplay = false;
    this.video.pause();
  }

  // --- when something fails ---

  private async onError(error: unknown): Promise<void> {
    if (isShakaError(error) && error.severity === 1) return;
    if (isShakaError(error) && (error.code === 7000 || error.code === 7001 || error.code === 7003)) return;
    if (!this.session || this.recovering || ["failed", "lapsed"].includes(state.status.value)) return;
    if (!isTransient(playerProblem(error, this.request_id).code)) return this.fail(error);
    this.recovering = true;
    await this.recover().finally(() => (this.recovering = false));
  }

  /** Shaka Player has given a segment up: after a pause, longer each time, it is told to go on. `look` ends what leads nowhere. */
  private async recover(): Promise<void> {
    const { signal } = this.play;
    await this.pause();
    if (signal.aborted) return;
    this.network?.forgive();
    this.player?.retryStreaming(0.1);
  }

  private pause(): Promise<void> {
    this.tries += 1;
    return new Promise((done) => setTimeout(done, Math.min(RECONNECT_MAX_MS, 250 * 2 ** this.tries)));
  }

  /** All edges of the session failed. A new session brings other edges, to which the play moves without loading anew: what is
   *  buffered and the licence stay. Without a control plane the old edges are tried on. */
  private async renew(): Promise<void> {
    const { session } = this;
    const { signal } = this.play;
    if (!session || (this.renewed_at_ms && Date.now() - this.renewed_at_ms < RENEWAL_PAUSE_MS)) return;
    this.renewed_at_ms = Date.now();
    try {
      const renewed = await this.ask(session.title_id);
      if (!signal.aborted) this.adopt(renewed);
    } catch (error) {
      // The gateway answers, and says no: the subscription lapsed, the title is gone. That ends it.
      const status = error instanceof ApiError ? error.problem.status : 0;
      if (!signal.aborted && status >= 400 && status < 500) this.fail(error);
    }
  }

  /** Tells a viewer who waits that other edges are tried, and ends a play for which they wait in vain. */
  private look(): void {
    const { network, player, session, video } = this;
    if (!network || !session) return;
    this.measureEdges();
    if (player && state.startup_ms.value !== null) this.bound.look(player);
    const { untried } = network;
    this.wait = waited(this.wait, {
      now_ms: performance.now(),
      waiting: state.status.value === "loading" || state.stalled.value,
      bytes: network.received_bytes,
      ahead_s: state.buffered_s.value - video.currentTime,
      untried,
    });
    state.reconnecting.value = this.wait !== null && untried < network.count;
    if (givesUp(this.wait, untried)) this.fail(network.last_error ?? TIMEOUT);
  }

  private adopt(session: Session): void {
    this.session = session;
    this.network?.adopt(session);
    state.session.value = session;
    measure({ session });
  }

  private fail(error: unknown): void {
    const found = error instanceof ApiError ? problemOf(error) : playerProblem(error, this.request_id);
    this.play.abort();
    clearInterval(this.watch);
    if (state.startup_ms.value !== null) this.place_s = this.video.currentTime;
    state.problem.value = found;
    state.reconnecting.value = false;
    state.status.value = found.status === 402 ? "lapsed" : "failed";
    // A play that never began has had no heartbeat yet: what its edges did is told all the same.
    if (this.session) (this.reporter ?? this.report(this.session)).end("failed");
    this.reporter = null;
    this.network?.end();
    this.video.pause();
    // Otherwise it would go on asking the edges, and begin to play behind the panel.
    this.replace();
  }

  // --- what the viewer does ---

  toggle(): void {
    if (state.status.value === "ended") this.seek(0);
    else if (this.video.paused) void this.video.play().catch(() => undefined);
    else this.video.pause();
  }

  seek(to_s: number): void {
    const end_s = this.video.duration || state.duration_s.value;
    const target_s = Math.max(0, Math.min(to_s, Math.max(0, end_s - 0.1)));
    this.video.currentTime = target_s;
    state.position_s.value = target_s;
    if (state.status.value === "ended") void this.video.play().catch(() => undefined);
  }

  setVolume(volume: number): void {
    this.video.volume = Math.max(0, Math.min(1, volume));
    this.video.muted = this.video.volume === 0;
    state.silenced.value = false;
  }

  mute(muted = !this.video.muted): void {
    this.video.muted = muted;
    state.silenced.value = false;
  }
}

export const engine = new Engine();
