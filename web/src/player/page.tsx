// The player as the viewer sees it: the stage fills the screen, controls lie over it and go when nobody needs them.
import "./controls.css";
import "./player.css";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Title } from "../api/types";
import { goBack, navigate, route } from "../state/router";
import { knownTitle, loadHome, loadTitle, relatives } from "../state/titles";
import { Card } from "../ui/card";
import { display } from "../ui/format";
import { Play, Restart } from "../ui/icons";
import { Poster } from "../ui/poster";
import { ProblemPanel } from "../ui/problem";
import { Controls } from "./controls";
import { engine } from "./engine";
import { bindKeys, nudge } from "./keys";
import * as state from "./state";
import type { Panel } from "./state";
import { Stats } from "./stats";
import { bindTouch } from "./touch";

const IDLE_MS = 2_800;
const PATIENCE_MS = 500;

export function PlayerPage() {
  const id = route.value.argument;
  const [panel, setPanel] = useState<Panel>("");
  const [stats, setStats] = useState(false);
  const { awake, stir, doze } = useAwake(panel !== "");
  const surface = useRef<HTMLDivElement>(null);
  const title = knownTitle(id);
  const settled = useSettled();

  useEffect(() => {
    document.documentElement.classList.add("watching");
    document.getElementById("stage")?.classList.remove("shown");
    if (!state.takeStarted(id) && state.titleId.peek() !== id) void engine.start(id, performance.now());
    if (!knownTitle(id)) void loadTitle(id).catch(() => undefined);
    return () => {
      document.documentElement.classList.remove("watching");
      void engine.stop();
      void loadHome();
    };
  }, [id]);
  useEffect(() => {
    if (title && settled) document.title = `${title.metadata.name} · Nearcast`;
    if (title && settled) announce(title);
  }, [title?.metadata.name, settled]);
  useEffect(() => bindKeys({ leave: () => leave(id), stir, panel: setPanel, stats: () => setStats((shown) => !shown) }), [id]);
  useEffect(() => (surface.current ? bindTouch(surface.current, stir, doze) : undefined), []);

  const status = state.status.value;
  const broken = status === "failed" || status === "lapsed";
  const shown = awake || status !== "playing" || panel !== "";
  useEffect(() => {
    document.getElementById("stage")?.classList.toggle("raised", shown);
  }, [shown]);

  return (
    <div class={shown ? "player" : "player asleep"} data-testid="player" data-status={status} onPointerMove={(event) => event.pointerType === "mouse" && stir()} onFocusCapture={stir}>
      {state.soundOnly.value && title && <div class="player-poster" aria-hidden="true"><Poster title={title} eager /></div>}
      <div class="player-surface" ref={surface} data-testid="player-surface" />
      {!broken && settled && <Waiting title={title} />}
      <Nudge />
      {state.silenced.value && (
        <button class="silenced" data-testid="unmute" onClick={() => engine.mute(false)}>Sound is off. Turn it on</button>
      )}
      {stats && <Stats onClose={() => setStats(false)} />}
      {!broken && settled && status !== "ended" && (
        <Controls
          title={title}
          panel={panel}
          onPanel={setPanel}
          onStats={() => setStats(!stats)}
          stats={stats}
          onLeave={() => leave(id)}
        />
      )}
      {status === "ended" && <Ended title={title} id={id} />}
      {broken && <Broken id={id} />}
    </div>
  );
}

function leave(id: string): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  goBack(`/title/${id}`);
}

/** Nothing is drawn before the first frame unless that takes long: what the browser paints meanwhile delays the film. */
function useSettled(): boolean {
  const [waited, setWaited] = useState(false);
  const starting = state.status.value === "loading" && state.startup_ms.value === null;
  useEffect(() => {
    setWaited(false);
    if (!starting) return;
    const timer = setTimeout(() => setWaited(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [starting]);
  return waited || !starting;
}

/** Controls stay while something moves, and a little longer. */
function useAwake(held: boolean): { awake: boolean; stir: () => void; doze: () => void } {
  const [awake, setAwake] = useState(true);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const keep = useRef(held);
  keep.current = held;
  const stir = useRef(() => {
    setAwake(true);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => !keep.current && setAwake(false), IDLE_MS);
  }).current;
  useEffect(() => {
    stir();
    return () => clearTimeout(timer.current);
  }, [held]);
  const doze = useRef(() => setAwake(false)).current;
  return { awake, stir, doze };
}

function Waiting({ title }: { title: Title | undefined }) {
  const loading = state.status.value === "loading";
  if (!loading && !state.stalled.value) return null;
  return (
    <div class="player-waiting" role="status" data-testid="player-waiting">
      <span class="ring" />
      <span>{state.reconnecting.value ? "Finding another way to the film…" : loading ? (title?.metadata.name ?? "") : ""}</span>
    </div>
  );
}

/** A short echo of what a key or a tap just did. */
function Nudge() {
  const shown = nudge.value;
  return shown ? (
    <div class="nudge" key={shown.at} aria-live="polite">{shown.text}</div>
  ) : null;
}

function Ended({ title, id }: { title: Title | undefined; id: string }) {
  const next = title ? relatives(title, 3) : [];
  return (
    <div class="player-panel ended" data-testid="player-ended">
      <p class="eyebrow">The end</p>
      <h1 class={display(title?.metadata.name ?? "")}>{title?.metadata.name}</h1>
      <div class="actions">
        <button class="button primary" onClick={() => navigate(`/title/${id}`, { replace: true })}>Done</button>
        <button class="button" data-testid="watch-again" onClick={() => engine.toggle()}>
          <Restart size={20} /> Watch again
        </button>
      </div>
      {next.length > 0 && (
        <div class="ended-next">
          <h2>Up next</h2>
          <ul>
            {next.map((each) => (
              <li key={each.id}><Card title={each} /></li>
            ))}
          </ul>
        </div>
      )}
    </div>
  );
}

function Broken({ id }: { id: string }) {
  const problem = state.problem.value;
  if (!problem) return null;
  const lapsed = state.status.value === "lapsed";
  const title = lapsed ? "Renew to keep watching" : problem.status === 409 ? "Not ready yet" : "The film does not play";
  return (
    <div class="player-panel">
      <ProblemPanel problem={problem} title={title} testid={lapsed ? "subscription-lapsed" : "player-error"}>
        {lapsed && <p class="problem-hint">Your profiles, your list and your places in films are kept. Once the subscription is renewed, Play works again at once.</p>}
        <button class="button primary" data-testid="try-again" onClick={(event) => void engine.again(event.timeStamp)}>
          <Play size={20} /> Try again
        </button>
        {lapsed && <a class="button" href="#/account">Account</a>}
        <button class="button quiet" onClick={() => leave(id)}>Back</button>
      </ProblemPanel>
    </div>
  );
}

/** What the system's own media controls show. */
function announce(title: Title): void {
  if (!("mediaSession" in navigator)) return;
  const artwork = title.poster_url ? [{ src: new URL(title.poster_url, location.href).href, type: "image/jpeg" }] : [];
  navigator.mediaSession.metadata = new MediaMetadata({ title: title.metadata.name, artist: "Nearcast", artwork });
  navigator.mediaSession.setActionHandler("seekbackward", () => engine.seek(engine.video.currentTime - 10));
  navigator.mediaSession.setActionHandler("seekforward", () => engine.seek(engine.video.currentTime + 10));
}
