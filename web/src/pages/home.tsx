// The first page: one film large, then rows.
import { useEffect } from "preact/hooks";
import type { Title } from "../api/types";
import { play, warmWhenIdle } from "../player/warm";
import { isAdmin } from "../state/session";
import { homeProblem, knownTitle, loadHome, opine, rows } from "../state/titles";
import { display, quality, resumable, runtime, watched } from "../ui/format";
import { Check, Info, Mark, Play, Plus } from "../ui/icons";
import { Poster } from "../ui/poster";
import { ProblemPanel } from "../ui/problem";
import { Row, RowSkeleton } from "../ui/row";

const LOOK_AGAIN_MS = 4_000;

export function Home() {
  useEffect(() => {
    document.title = "Nearcast";
    void loadHome().finally(warmWhenIdle);
  }, []);
  const found = rows.value;
  const empty = found !== null && !found.some((row) => row.titles.some((title) => title.state !== "processing"));
  useEffect(() => {
    if (!empty) return;
    // The first film may be on its way: the page fills by itself when it arrives.
    const timer = setInterval(() => void loadHome(), LOOK_AGAIN_MS);
    return () => clearInterval(timer);
  }, [empty]);

  if (!found && homeProblem.value) {
    return (
      <div class="page narrow">
        <ProblemPanel problem={homeProblem.value} title="The home page did not load">
          <button class="button" onClick={() => void loadHome()}>Try again</button>
        </ProblemPanel>
      </div>
    );
  }
  if (!found) return <Waiting />;
  if (found.length === 0) return <Empty />;
  const featured = pick(found.flatMap((row) => row.titles));
  return (
    <div class="home">
      {featured && <Hero title={knownTitle(featured.id) ?? featured} />}
      <div class={featured ? "rows" : "rows rows-alone"}>
        {found.map((row, index) => (
          <Row key={row.id} row={row} eager={index < 2} />
        ))}
      </div>
    </div>
  );
}

/** The film to show large: the newest that can be played and has a picture and something said of it. */
function pick(titles: readonly Title[]): Title | undefined {
  const playable = titles.filter((title) => title.state === "complete" || title.state === "playable");
  const score = (title: Title): number => (title.poster_url ? 2 : 0) + (title.metadata.synopsis ? 1 : 0);
  return [...new Map(playable.map((title) => [title.id, title])).values()].sort((a, b) => score(b) - score(a) || b.published_at - a.published_at)[0];
}

function Hero({ title }: { title: Title }) {
  const { metadata } = title;
  const begun = resumable(title.position_s, title.runtime_s);
  return (
    <section class="hero" aria-label={metadata.name} data-testid="hero">
      <div class="hero-picture" aria-hidden="true">
        <Poster title={title} eager key={title.id} />
      </div>
      <div class="hero-text">
        <p class="eyebrow">{begun ? "Continue watching" : metadata.genres[0] || "Featured"}</p>
        <h1 class={display(metadata.name)}>{metadata.name}</h1>
        <p class="facts">
          {metadata.year && <span>{metadata.year}</span>}
          <span>{runtime(title.runtime_s)}</span>
          {title.max_height > 0 && <span class="badge">{quality(title.max_height)}</span>}
        </p>
        {metadata.synopsis && <p class="synopsis">{metadata.synopsis}</p>}
        {begun && (
          <span class="hero-progress">
            <span style={{ width: `${watched(title.position_s, title.runtime_s) * 100}%` }} />
          </span>
        )}
        <div class="actions">
          <button class="button primary" data-testid="hero-play" onClick={(event) => play(title.id, event)}>
            <Play size={20} /> {begun ? "Resume" : "Play"}
          </button>
          <a class="button" href={`#/title/${title.id}`}>
            <Info size={20} /> Details
          </a>
          <button
            class="button round"
            aria-pressed={title.in_my_list}
            aria-label={title.in_my_list ? "Remove from My List" : "Add to My List"}
            onClick={() => void opine(title, { in_my_list: !title.in_my_list })}
          >
            {title.in_my_list ? <Check /> : <Plus />}
          </button>
        </div>
      </div>
    </section>
  );
}

function Waiting() {
  return (
    <div class="home" role="status" aria-label="Loading">
      <div class="hero skeleton" />
      <div class="rows">
        <RowSkeleton />
        <RowSkeleton />
      </div>
    </div>
  );
}

function Empty() {
  return (
    <div class="page narrow empty" data-testid="empty-home">
      <Mark size={72} />
      <h1>Nothing to watch yet</h1>
      <p>
        {isAdmin.value
          ? "Add your first film, or wait a moment if one is on its way: it appears here as soon as it can be played."
          : "Films appear here as soon as they are published."}
      </p>
      {isAdmin.value && (
        <div class="actions">
          <a class="button primary" href="#/admin/add">Add a film</a>
        </div>
      )}
    </div>
  );
}
