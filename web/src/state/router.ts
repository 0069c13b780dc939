// Addresses live in the fragment (`/#/title/t_…`): the sign-in link is one, and no server has to know them.
import { signal } from "@preact/signals";

export interface Route {
  name: string;
  argument: string;
  query: URLSearchParams;
}

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#/, "").split("?", 2);
  const [name = "", ...rest] = path.split("/").filter(Boolean);
  return { name: name || "home", argument: rest.join("/"), query: new URLSearchParams(query) };
}

export const route = signal<Route>(parseRoute(location.hash));

interface Entry {
  /** Where in this tab's history the entry stands; entries that a link made have none yet. */
  at: number;
}

const scrolls = new Map<number, number>();
let at = (history.state as Entry | null)?.at ?? 0;
const first = at;
history.scrollRestoration = "manual";
history.replaceState({ at } satisfies Entry, "");

addEventListener("hashchange", arrive);

function arrive(): void {
  scrolls.set(at, scrollY);
  const entry = history.state as Entry | null;
  const isNew = entry === null;
  at = isNew ? at + 1 : entry.at;
  if (isNew) history.replaceState({ at } satisfies Entry, "");
  route.value = parseRoute(location.hash);
  // The player has nothing to scroll, and asking for it would have the browser lay everything out before the film starts.
  if (route.value.name === "watch") return;
  // A page that was left half-way is found again where it was; a new one starts at its top.
  const target = isNew ? 0 : (scrolls.get(at) ?? 0);
  requestAnimationFrame(() => scrollTo({ top: target, behavior: "instant" }));
}

export function navigate(path: string, options: { replace?: boolean } = {}): void {
  const target = `#${path}`;
  if (location.hash === target) return;
  if (options.replace) {
    history.replaceState({ at } satisfies Entry, "", target);
    route.value = parseRoute(target);
    scrollTo({ top: 0, behavior: "instant" });
  } else {
    history.pushState(null, "", target);
    arrive();
  }
}

/** Back to where the viewer came from, or to `fallback` when this page was the first. */
export function goBack(fallback: string): void {
  if (at > first) history.back();
  else navigate(fallback, { replace: true });
}
