// Films on their way up, by tus (https://tus.io/protocols/resumable-upload) straight to the fleet: an upload that broke off goes
// on where it was, also after the page was closed, because the browser remembers where each file was going.
import { signal } from "@preact/signals";
import * as tus from "tus-js-client";
import { api, problemOf } from "../../api/client";
import type { IngestJob, Metadata, Problem, UploadAnswer } from "../../api/types";
import { worthRetrying } from "./refusals";

export interface Upload {
  job_id: string;
  file_name: string;
  sent_bytes: number;
  size_bytes: number;
  state: "sending" | "waiting" | "sent" | "failed";
  problem: Problem | null;
}

export const uploads = signal<ReadonlyMap<string, Upload>>(new Map());
const running = new Map<string, tus.Upload>();

function set(upload: Upload): void {
  uploads.value = new Map(uploads.value).set(upload.job_id, upload);
}

function change(job_id: string, next: Partial<Upload>): void {
  const known = uploads.value.get(job_id);
  if (known) set({ ...known, ...next });
}

interface Remembered {
  job_id: string;
  upload_url: string;
  expires_at: number;
}

const fingerprint = (file: File): string => `nearcast.upload.${file.name}.${file.size}.${file.lastModified}`;

function remembered(file: File): Remembered | null {
  try {
    const found = JSON.parse(localStorage.getItem(fingerprint(file)) ?? "null") as Remembered | null;
    return found && found.expires_at * 1000 > Date.now() ? found : null;
  } catch {
    return null;
  }
}

/** Does this very file have an upload that broke off and whose job still waits for it? */
export async function unfinished(file: File): Promise<IngestJob | null> {
  const found = remembered(file);
  if (!found) return null;
  const job = await api<IngestJob>("GET", `/api/v1/ingest/${found.job_id}`, { quiet: true }).catch(() => null);
  return job?.state === "uploading" ? job : null;
}

/** Goes on with an upload that broke off. */
export function resume(file: File): void {
  const found = remembered(file);
  if (found) send(file, found.job_id, found.upload_url);
}

/** Asks for a job and sends the file. Throws an ApiError when the gateway will not have it. */
export async function begin(file: File, metadata: Metadata, clear: boolean): Promise<IngestJob> {
  const body = { file_name: file.name, size_bytes: file.size, metadata, clear };
  const { job, upload_url, expires_at } = await api<UploadAnswer>("POST", "/api/v1/ingest", { body });
  localStorage.setItem(fingerprint(file), JSON.stringify({ job_id: job.id, upload_url, expires_at } satisfies Remembered));
  send(file, job.id, upload_url);
  return job;
}

const CHUNK_BYTES = 32 << 20;

function send(file: File, job_id: string, uploadUrl: string): void {
  set({ job_id, file_name: file.name, sent_bytes: 0, size_bytes: file.size, state: "sending", problem: null });
  const upload = new tus.Upload(file, {
    uploadUrl,
    chunkSize: CHUNK_BYTES,
    retryDelays: [0, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000],
    storeFingerprintForResuming: false,
    onProgress: (sent_bytes, size_bytes) => change(job_id, { sent_bytes, size_bytes: size_bytes ?? file.size, state: "sending" }),
    onShouldRetry: (error) => {
      const again = worthRetrying(error.originalResponse?.getStatus() ?? 0, told(error).code ?? "");
      if (again) change(job_id, { state: "waiting" });
      return again;
    },
    onSuccess: () => {
      localStorage.removeItem(fingerprint(file));
      running.delete(job_id);
      change(job_id, { sent_bytes: file.size, state: "sent" });
    },
    onError: (error) => {
      running.delete(job_id);
      change(job_id, { state: "failed", problem: uploadProblem(error) });
    },
  });
  running.set(job_id, upload);
  upload.start();
}

/** What the fleet said of a refusal; nothing where the answer was not its own. */
function told(error: Error): Partial<Problem> {
  const body = error instanceof tus.DetailedError ? error.originalResponse?.getBody() : "";
  try {
    return JSON.parse(body || "{}") as Partial<Problem>;
  } catch {
    return {}; // Not every proxy on the way speaks JSON.
  }
}

function uploadProblem(error: Error): Problem {
  const response = error instanceof tus.DetailedError ? error.originalResponse : null;
  const status = response?.getStatus() ?? 0;
  const said = told(error);
  return {
    code: said.code ?? "NC5020",
    message: said.message ?? (status ? `The upload was refused with status ${status}` : "The upload was cut off"),
    hint: said.hint ?? "choose the same file again: the upload goes on where it stopped",
    request_id: said.request_id ?? response?.getHeader("x-request-id") ?? "",
    status,
  };
}

/** Stops the upload, if it runs in this page, and the job. */
export async function cancel(job_id: string): Promise<void> {
  await running.get(job_id)?.abort();
  running.delete(job_id);
  try {
    await api("DELETE", `/api/v1/ingest/${job_id}`);
  } catch (error) {
    change(job_id, { problem: problemOf(error) });
  }
}

addEventListener("beforeunload", (event) => {
  // The upload would go on later, but only if someone chooses the file again.
  if (running.size > 0) event.preventDefault();
});
