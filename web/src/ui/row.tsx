// A row of titles that scrolls sideways: by touch, by wheel, by its two buttons, and by the arrow keys from card to card.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Row as RowOfTitles } from "../api/types";
import { Card, CardSkeleton } from "./card";
import { Left, Right } from "./icons";

export function Row({ row, eager = false }: { row: RowOfTitles; eager?: boolean }) {
  const list = useRef<HTMLUListElement>(null);
  const [edges, setEdges] = useState({ start: true, end: true });

  useEffect(() => {
    const element = list.current;
    if (!element) return;
    const look = (): void => {
      const start = element.scrollLeft < 8;
      const end = element.scrollLeft + element.clientWidth > element.scrollWidth - 8;
      setEdges((known) => (known.start === start && known.end === end ? known : { start, end }));
    };
    look();
    element.addEventListener("scroll", look, { passive: true });
    const watcher = new ResizeObserver(look);
    watcher.observe(element);
    return () => {
      element.removeEventListener("scroll", look);
      watcher.disconnect();
    };
  }, [row.titles.length]);

  const turn = (direction: number): void => {
    const element = list.current;
    element?.scrollBy({ left: direction * element.clientWidth * 0.85, behavior: "smooth" });
  };

  return (
    <section class="row" data-testid="row" data-row-id={row.id} aria-label={row.name} onKeyDown={walk}>
      <h2 class="row-name">{row.name}</h2>
      <div class="row-window">
        <ul class="row-list" ref={list}>
          {row.titles.map((title) => (
            <li key={title.id}>
              <Card title={title} eager={eager} />
            </li>
          ))}
        </ul>
        <button class="row-turn row-turn-left" hidden={edges.start} tabIndex={-1} aria-hidden="true" onClick={() => turn(-1)}>
          <Left />
        </button>
        <button class="row-turn row-turn-right" hidden={edges.end} tabIndex={-1} aria-hidden="true" onClick={() => turn(1)}>
          <Right />
        </button>
      </div>
    </section>
  );
}

/** Arrow keys walk over the posters as on a television: sideways in a row, up and down between rows. */
function walk(event: KeyboardEvent): void {
  const card = (event.target as Element).closest<HTMLElement>(".card");
  const row = card?.closest(".row");
  if (!card || !row) return;
  const cards = [...row.querySelectorAll<HTMLElement>(".card")];
  const place = cards.indexOf(card);
  let target: HTMLElement | undefined;
  if (event.key === "ArrowRight") target = cards[place + 1];
  else if (event.key === "ArrowLeft") target = cards[place - 1];
  else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const rows = [...document.querySelectorAll(".row")];
    const next = rows[rows.indexOf(row) + (event.key === "ArrowDown" ? 1 : -1)];
    const middle = card.getBoundingClientRect().left + card.clientWidth / 2;
    target = [...(next?.querySelectorAll<HTMLElement>(".card") ?? [])].sort((a, b) => away(a, middle) - away(b, middle))[0];
  } else return;
  if (!target) return;
  event.preventDefault();
  target.focus({ preventScroll: true });
  target.scrollIntoView({ behavior: "smooth", block: "nearest", inline: "nearest" });
}

function away(card: HTMLElement, middle: number): number {
  return Math.abs(card.getBoundingClientRect().left + card.clientWidth / 2 - middle);
}

export function RowSkeleton() {
  return (
    <div class="row" aria-hidden="true">
      <span class="skeleton-line skeleton-heading" />
      <div class="row-list">
        {[1, 2, 3, 4, 5, 6].map((each) => (
          <CardSkeleton key={each} />
        ))}
      </div>
    </div>
  );
}
