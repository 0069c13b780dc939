// Ingest jobs as they happen: each running one is followed by a long poll for its events.
import { signal } from "@preact/signals";
import { api, problemOf } from "../../api/client";
import type { IngestEvent, IngestJob, JobEvents, Problem } from "../../api/types";
import { merge } from "./merge";

export const jobs = signal<IngestJob[] | null>(null);
export const jobsProblem = signal<Problem | null>(null);
export const warnings = signal<ReadonlyMap<string, string[]>>(new Map());

const WAIT_S = 20;
const PAUSE_MS = 1_500;
const followed = new Set<string>();
let watching = 0;

export const isOpen = (job: IngestJob): boolean => ["uploading", "queued", "running"].includes(job.state);

export async function loadJobs(): Promise<void> {
  try {
    const answer = await api<{ jobs: IngestJob[] }>("GET", "/api/v1/ingest");
    jobs.value = [...answer.jobs].sort((a, b) => b.created_at - a.created_at);
    jobsProblem.value = null;
    for (const job of answer.jobs) if (isOpen(job)) void follow(job.id);
  } catch (error) {
    jobsProblem.value = problemOf(error);
  }
}

export function put(job: IngestJob): void {
  const known = jobs.value ?? [];
  const found = known.some((each) => each.id === job.id);
  jobs.value = found ? known.map((each) => (each.id === job.id ? job : each)) : [job, ...known];
}

/** Follows while the page is open; returns what ends it. */
export function watchJobs(): () => void {
  watching += 1;
  void loadJobs();
  // Jobs that others began (a command on the fleet's host, say) come in by looking now and then.
  const timer = setInterval(() => void loadJobs(), 10_000);
  return () => {
    watching -= 1;
    clearInterval(timer);
  };
}

export async function follow(id: string): Promise<void> {
  if (followed.has(id)) return;
  followed.add(id);
  let after = 0;
  while (watching > 0) {
    try {
      const path = `/api/v1/ingest/${id}/events?after=${after}&wait_s=${WAIT_S}`;
      const { job, events } = await api<JobEvents>("GET", path, { timeout_ms: (WAIT_S + 15) * 1000, quiet: true });
      after = events.reduce((last, event) => Math.max(last, event.sequence), after);
      put({ ...job, progress: merge(job.progress, events) });
      note(id, events);
      if (!isOpen(job)) break;
    } catch (error) {
      if ([401, 403, 404].includes(problemOf(error).status)) break;
      await new Promise((done) => setTimeout(done, PAUSE_MS * 2));
    }
    await new Promise((done) => setTimeout(done, PAUSE_MS / 10));
  }
  followed.delete(id);
}

function note(id: string, events: readonly IngestEvent[]): void {
  const found = events.filter((event) => event.kind === "warning").map((event) => event.text);
  if (found.length) warnings.value = new Map(warnings.value).set(id, [...new Set([...(warnings.value.get(id) ?? []), ...found])]);
}
