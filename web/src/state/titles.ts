// What is known of titles and rows: shown at once from memory, then refreshed from the gateway.
import { signal } from "@preact/signals";
import { api, problemOf } from "../api/client";
import type { Problem, Rating, Row, Title, TitleList } from "../api/types";
import { toast } from "./toast";

export const rows = signal<Row[] | null>(null);
export const homeProblem = signal<Problem | null>(null);
const known = signal<ReadonlyMap<string, Title>>(new Map());

export function forget(): void {
  rows.value = null;
  homeProblem.value = null;
  known.value = new Map();
}

export function knownTitle(id: string): Title | undefined {
  return known.value.get(id);
}

export function remember(titles: readonly Title[]): void {
  const next = new Map(known.value);
  for (const title of titles) next.set(title.id, title);
  known.value = next;
}

export async function loadHome(): Promise<void> {
  try {
    const answer = await api<{ rows: Row[] }>("GET", "/api/v1/home");
    rows.value = answer.rows.filter((row) => row.titles.length > 0);
    homeProblem.value = null;
    remember(answer.rows.flatMap((row) => row.titles));
  } catch (error) {
    homeProblem.value = problemOf(error);
  }
}

export async function loadTitle(id: string): Promise<Title> {
  const title = await api<Title>("GET", `/api/v1/titles/${encodeURIComponent(id)}`);
  remember([title]);
  return title;
}

export async function searchTitles(q: string, signal: AbortSignal): Promise<Title[]> {
  const answer = await api<TitleList>("GET", `/api/v1/titles?${new URLSearchParams({ q, limit: "48" })}`, { signal });
  remember(answer.titles);
  return answer.titles;
}

/** Titles that share a genre with this one, from what the home page already brought. */
export function relatives(title: Title, count: number): Title[] {
  const genres = new Set(title.metadata.genres);
  const all = [...known.value.values()].filter((each) => each.id !== title.id && each.state !== "unpublished");
  const near = all.filter((each) => each.metadata.genres.some((genre) => genres.has(genre)));
  return (near.length >= 3 ? near : [...near, ...all.filter((each) => !near.includes(each))]).slice(0, count);
}

/** Set at once on the screen; taken back, with a note, when the gateway will not have it. */
export async function opine(title: Title, change: { in_my_list?: boolean; rating?: Rating }): Promise<void> {
  remember([{ ...title, ...change }]);
  try {
    await api("PUT", `/api/v1/titles/${encodeURIComponent(title.id)}/opinion`, { body: change });
    void loadHome();
  } catch (error) {
    remember([title]);
    toast(problemOf(error).message, "warning");
  }
}

/** The bookmark as the player knows it, before the history service has told anyone. */
export function bookmark(id: string, position_s: number | null): void {
  const title = known.value.get(id);
  if (title) remember([{ ...title, position_s }]);
}
