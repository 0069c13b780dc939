// One title: its picture, what there is to know, and Play.
import { useEffect, useState } from "preact/hooks";
import { problemOf } from "../api/client";
import type { Problem, Rating, Title } from "../api/types";
import { play, warm } from "../player/warm";
import { knownTitle, loadTitle, opine, relatives } from "../state/titles";
import { display, clock, language, quality, resumable, runtime, watched } from "../ui/format";
import { Check, Dislike, Like, Love, Play, Plus, Restart } from "../ui/icons";
import { Poster } from "../ui/poster";
import { ProblemPanel } from "../ui/problem";
import { Row } from "../ui/row";

const LOOK_AGAIN_MS = 4_000;

export function TitlePage({ id }: { id: string }) {
  const [problem, setProblem] = useState<Problem | null>(null);
  const title = knownTitle(id);
  const growing = title ? title.state === "processing" || title.state === "playable" : false;
  const load = (): void => {
    loadTitle(id).then(() => setProblem(null), (error) => setProblem(problemOf(error)));
  };
  useEffect(load, [id]);
  useEffect(() => void warm(), []);
  useEffect(() => {
    // Renditions come in one after the other; the page tells when the film can be played, and when it got better.
    if (!growing) return;
    const timer = setInterval(() => void loadTitle(id).catch(() => undefined), LOOK_AGAIN_MS);
    return () => clearInterval(timer);
  }, [id, growing]);
  useEffect(() => {
    if (title) document.title = `${title.metadata.name} · Nearcast`;
  }, [title?.metadata.name]);

  if (!title) {
    return (
      <div class="page narrow">
        {problem ? (
          <ProblemPanel problem={problem} title="This title cannot be shown" testid="title-error">
            <button class="button" onClick={load}>Try again</button>
            <a class="button quiet" href="#/">Home</a>
          </ProblemPanel>
        ) : (
          <div class="title-waiting skeleton" role="status" aria-label="Loading" />
        )}
      </div>
    );
  }
  const related = relatives(title, 12);
  return (
    <article class="title" data-testid="title-page" data-title-state={title.state}>
      <div class="title-backdrop" aria-hidden="true">
        <Poster title={title} eager key={title.poster_url} />
      </div>
      <div class="title-text">
        <Facts title={title} />
        <Actions title={title} />
        {title.metadata.synopsis && <p class="synopsis">{title.metadata.synopsis}</p>}
        <Details title={title} />
      </div>
      {related.length > 0 && (
        <div class="rows rows-alone">
          <Row row={{ id: "related", name: "More like this", titles: related }} />
        </div>
      )}
    </article>
  );
}

function Facts({ title }: { title: Title }) {
  return (
    <>
      <h1 class={display(title.metadata.name)} data-testid="title-name">{title.metadata.name}</h1>
      <p class="facts">
        {title.metadata.year && <span>{title.metadata.year}</span>}
        <span>{runtime(title.runtime_s)}</span>
        {title.max_height > 0 && <span class="badge" data-testid="max-quality">{quality(title.max_height)}</span>}
        {title.text_languages.length > 0 && <span class="badge">CC</span>}
        {title.state === "playable" && <span class="badge badge-soft">Better quality on its way</span>}
      </p>
    </>
  );
}

function Actions({ title }: { title: Title }) {
  const begun = resumable(title.position_s, title.runtime_s);
  const ready = title.state === "playable" || title.state === "complete";
  const position_s = title.position_s ?? 0;
  return (
    <>
      {begun && (
        <p class="resume" data-testid="resume-at">
          <span class="hero-progress">
            <span style={{ width: `${watched(position_s, title.runtime_s) * 100}%` }} />
          </span>
          <span>{clock(title.runtime_s - position_s)} left</span>
        </p>
      )}
      <div class="actions">
        <button class="button primary large" data-testid="play-button" disabled={!ready} onClick={(event) => play(title.id, event)}>
          <Play size={22} /> {ready ? (begun ? `Resume at ${clock(position_s)}` : "Play") : "Being prepared"}
        </button>
        {begun && ready && (
          <button class="button round large" data-testid="play-from-start" aria-label="Play from the beginning" title="From the beginning" onClick={(event) => play(title.id, event, 0)}>
            <Restart />
          </button>
        )}
        <button
          class="button round large"
          data-testid="my-list-toggle"
          aria-pressed={title.in_my_list}
          aria-label={title.in_my_list ? "Remove from My List" : "Add to My List"}
          title="My List"
          onClick={() => void opine(title, { in_my_list: !title.in_my_list })}
        >
          {title.in_my_list ? <Check /> : <Plus />}
        </button>
        <Rate title={title} />
      </div>
    </>
  );
}

const RATINGS: { rating: Rating; label: string; icon: typeof Like }[] = [
  { rating: -1, label: "Not for me", icon: Dislike },
  { rating: 1, label: "I like this", icon: Like },
  { rating: 2, label: "I love this", icon: Love },
];

function Rate({ title }: { title: Title }) {
  return (
    <span class="rate" role="group" aria-label="Your rating">
      {RATINGS.map(({ rating, label, icon: Picture }) => (
        <button
          key={rating}
          class="button round large quiet"
          aria-pressed={title.rating === rating}
          aria-label={label}
          title={label}
          data-testid={`rate-${rating}`}
          onClick={() => void opine(title, { rating: title.rating === rating ? 0 : rating })}
        >
          <Picture />
        </button>
      ))}
    </span>
  );
}

function Details({ title }: { title: Title }) {
  const { metadata } = title;
  const lines: [string, string][] = [
    ["Genres", metadata.genres.join(", ")],
    ["Audio", title.audio_languages.map(language).join(", ")],
    ["Subtitles", title.text_languages.map(language).join(", ")],
    ["Credit", metadata.credit],
  ];
  return (
    <dl class="details">
      {lines
        .filter(([, value]) => value)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
