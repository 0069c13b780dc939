// A title in a row or a grid. Hovering or focusing it makes the player ready; a click opens the title's page.
import type { Title } from "../api/types";
import { warm } from "../player/warm";
import { quality, resumable, runtime, watched } from "./format";
import { Poster } from "./poster";

export function Card({ title, eager = false }: { title: Title; eager?: boolean }) {
  const { metadata } = title;
  const processing = title.state === "processing";
  const begun = resumable(title.position_s, title.runtime_s);
  const facts = [metadata.year, runtime(title.runtime_s)].filter(Boolean).join(" · ");
  return (
    <a
      class="card"
      href={`#/title/${title.id}`}
      data-testid="title-card"
      data-title-id={title.id}
      onPointerEnter={() => void warm()}
      onFocus={() => void warm()}
      aria-label={[metadata.name, facts, processing ? "being prepared" : "", begun ? "started" : ""].filter(Boolean).join(", ")}
    >
      <span class="card-picture">
        <Poster title={title} eager={eager} />
        {processing && <span class="badge badge-soft card-badge">Being prepared</span>}
        {begun && (
          <span class="card-progress" data-testid="card-progress">
            <span style={{ width: `${watched(title.position_s, title.runtime_s) * 100}%` }} />
          </span>
        )}
      </span>
      <span class="card-text">
        <span class="card-name">{metadata.name}</span>
        <span class="card-facts">
          {facts}
          {title.max_height > 0 && <span class="card-quality">{quality(title.max_height)}</span>}
        </span>
      </span>
    </a>
  );
}

export function CardSkeleton() {
  return (
    <span class="card skeleton" aria-hidden="true">
      <span class="card-picture" />
      <span class="skeleton-line" />
    </span>
  );
}
