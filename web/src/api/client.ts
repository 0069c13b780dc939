// Every question to the gateway goes through here, and every failure comes out as one ApiError with a Problem in it.
import type { Problem } from "./types";

export class ApiError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.message);
    this.name = "ApiError";
  }
}

/** The gateway gave no answer at all: the network, the gateway, or time is at fault. */
export const UNREACHABLE = "NC5010";
const UNREADABLE = "NC5011";

interface Options {
  body?: unknown;
  signal?: AbortSignal;
  timeout_ms?: number;
  /** Lets the request outlive the page, as the last heartbeat must. */
  keepalive?: boolean;
  /** A failure is nobody's business but the caller's: no note on the screen, no sign-out. */
  quiet?: boolean;
}

export interface Answer<T> {
  value: T;
  request_id: string;
}

type Listener = (problem: Problem) => void;
const listeners: { unauthenticated: Listener; unreachable: Listener } = { unauthenticated: () => {}, unreachable: () => {} };

/** Who is to hear when the sign-in has ended, or the gateway cannot be reached. */
export function listen(heard: Partial<typeof listeners>): void {
  Object.assign(listeners, heard);
}

export async function ask<T>(method: string, path: string, options: Options = {}): Promise<Answer<T>> {
  const timeout = AbortSignal.timeout(options.timeout_ms ?? 15_000);
  const init: RequestInit = {
    method,
    credentials: "same-origin",
    signal: options.signal ? AbortSignal.any([options.signal, timeout]) : timeout,
    keepalive: options.keepalive ?? false,
    headers: { accept: "application/json" },
  };
  if (options.body !== undefined) {
    init.body = JSON.stringify(options.body);
    init.headers = { accept: "application/json", "content-type": "application/json" };
  }
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, init);
    text = await response.text();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    const problem: Problem = {
      code: UNREACHABLE,
      message: timeout.aborted ? "Nearcast takes too long to answer" : "Nearcast cannot be reached",
      hint: "check your connection; trying again usually helps",
      request_id: "",
      status: 0,
    };
    if (!options.quiet) listeners.unreachable(problem);
    throw new ApiError(problem);
  }
  const request_id = response.headers.get("x-request-id") ?? "";
  const parsed = parse(text);
  if (response.ok) {
    if (text && parsed === undefined) throw new ApiError(unreadable(response.status, request_id));
    return { value: parsed as T, request_id };
  }
  const problem = asProblem(parsed, response.status, request_id);
  if (response.status === 401 && !options.quiet) listeners.unauthenticated(problem);
  throw new ApiError(problem);
}

export async function api<T>(method: string, path: string, options: Options = {}): Promise<T> {
  return (await ask<T>(method, path, options)).value;
}

/** Whatever was thrown, as a Problem that can be shown. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  const message = error instanceof Error ? error.message : String(error);
  return { code: "NC5000", message: `Something went wrong: ${message}`, hint: "reload the page", request_id: "", status: 0 };
}

function parse(text: string): unknown {
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

export function asProblem(parsed: unknown, status: number, request_id: string): Problem {
  if (parsed && typeof parsed === "object" && "code" in parsed && "message" in parsed) {
    const found = parsed as Partial<Problem>;
    return {
      code: String(found.code),
      message: String(found.message),
      hint: found.hint ?? "",
      request_id: found.request_id || request_id,
      status: found.status ?? status,
    };
  }
  return unreadable(status, request_id);
}

function unreadable(status: number, request_id: string): Problem {
  return {
    code: UNREADABLE,
    message: `Nearcast gave an answer that makes no sense here (status ${status})`,
    hint: "try again in a moment",
    request_id,
    status,
  };
}
