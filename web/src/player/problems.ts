// What went wrong in the player, as a Problem with a code of NC5xxx. Shaka Player tells its errors by category and code
// (https://shaka-player-demo.appspot.com/docs/api/shaka.util.Error.html); here they become causes that a viewer can act on.
import { asProblem } from "../api/client";
import type { Problem } from "../api/types";
import texts from "./problems.json";

export type PlayerCode = keyof typeof texts;

/** What Shaka Player throws, as far as it matters here. */
export interface ShakaError {
  category: number;
  code: number;
  severity?: number;
  data?: unknown[];
}

const NETWORK = 1, TEXT = 2, MEDIA = 3, MANIFEST = 4, STREAMING = 5, DRM = 6;
const LICENSE_REQUEST = 2;

/** What Shaka Player makes of a request that stayed without an answer. */
export const TIMEOUT: ShakaError = { category: 1, code: 1003 };

export function isShakaError(error: unknown): error is ShakaError {
  return typeof error === "object" && error !== null && "category" in error && "code" in error;
}

/** The player's own code for Shaka's category and code. */
export function playerCode(error: ShakaError): PlayerCode {
  const { category, code } = error;
  if (category === NETWORK) {
    if (code === 1001) {
      const status = Number(error.data?.[1]);
      if (status === 401 || status === 403 || status === 410) return "NC5003";
      return status === 404 || status === 416 ? "NC5002" : "NC5001";
    }
    return code === 1011 ? "NC5002" : "NC5001";
  }
  if (category === MEDIA) return code === 3017 ? "NC5013" : "NC5009";
  if (category === MANIFEST) return code === 4032 || code === 4036 || code === 4012 ? "NC5005" : "NC5004";
  if (category === STREAMING) return "NC5012";
  if (category === DRM) {
    if (code === 6007) return licenceStatus(error) === 0 ? "NC5008" : "NC5007";
    if (code === 6008) return "NC5007";
    return code === 6014 ? "NC5003" : "NC5006";
  }
  return category === TEXT ? "NC5004" : "NC5000";
}

/** A licence failure carries the network error that caused it as its first datum. */
function licenceCause(error: ShakaError): ShakaError | null {
  const inner = error.data?.[0];
  return isShakaError(inner) ? inner : null;
}

function licenceStatus(error: ShakaError): number {
  const cause = licenceCause(error);
  return cause?.code === 1001 ? Number(cause.data?.[1]) : 0;
}

/** The whole story of a failure: the gateway's own words where it had any, else the text of our code. */
export function playerProblem(error: unknown, request_id: string): Problem {
  if (!isShakaError(error)) {
    const message = error instanceof Error ? `: ${error.message}` : "";
    return { ...texts.NC5000, message: `${texts.NC5000.message}${message}`, code: "NC5000", request_id, status: 0 };
  }
  const code = playerCode(error);
  const detail = `Shaka ${error.category}.${error.code}`;
  const problem: Problem = { code, message: texts[code].message, hint: texts[code].hint, request_id, status: 0 };
  const cause = licenceCause(error);
  if (code === "NC5007" && cause) {
    const told = gatewayProblem(cause);
    if (told) {
      problem.message = `${problem.message}: ${told.message} (${told.code})`;
      problem.hint = told.hint || problem.hint;
      problem.request_id = told.request_id || request_id;
      return problem;
    }
  }
  problem.message = `${problem.message} (${detail})`;
  return problem;
}

function gatewayProblem(error: ShakaError): Problem | null {
  const [, status, text, headers, type] = error.data ?? [];
  if (type !== LICENSE_REQUEST || typeof text !== "string") return null;
  try {
    const id = (headers as Record<string, string> | undefined)?.["x-request-id"] ?? "";
    return asProblem(JSON.parse(text), Number(status), id);
  } catch {
    return null;
  }
}

/** Faults of the way to the edges, which a new session or a second try may cure. */
export function isTransient(code: string): boolean {
  return ["NC5001", "NC5002", "NC5003", "NC5012"].includes(code);
}
