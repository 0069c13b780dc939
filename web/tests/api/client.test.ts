import { afterEach, describe, expect, it, vi } from "vitest";
import { api, ApiError, ask, listen, problemOf, UNREACHABLE } from "../../src/api/client";

const answer = (body: string, status: number, id = "r-7"): Response => new Response(body, { status, headers: { "x-request-id": id } });
const respond = (response: () => Promise<Response>) => vi.stubGlobal("fetch", vi.fn(response));

async function problem(what: Promise<unknown>) {
  const error = await what.then(() => null, (thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ApiError);
  return problemOf(error);
}

afterEach(() => {
  vi.unstubAllGlobals();
  listen({ unauthenticated: () => {}, unreachable: () => {} });
});

describe("ask", () => {
  it("gives the value and the request id", async () => {
    respond(async () => answer('{"total":3}', 200));
    expect(await ask("GET", "/x")).toEqual({ value: { total: 3 }, request_id: "r-7" });
  });

  it("takes an empty answer for what it is", async () => {
    respond(async () => new Response(null, { status: 204 }));
    expect(await api("POST", "/x", { body: {} })).toBeUndefined();
  });

  it("passes on the gateway's problem", async () => {
    respond(async () => answer(JSON.stringify({ code: "NC4301", message: "lapsed", hint: "renew", request_id: "r-1", status: 402 }), 402));
    expect(await problem(api("POST", "/x"))).toEqual({ code: "NC4301", message: "lapsed", hint: "renew", request_id: "r-1", status: 402 });
  });

  it("makes a problem of an answer that is none of ours", async () => {
    respond(async () => answer("<html>bad gateway", 502));
    expect(await problem(api("GET", "/x"))).toMatchObject({ code: "NC5011", status: 502, request_id: "r-7" });
    respond(async () => answer("<html>", 200));
    expect(await problem(api("GET", "/x"))).toMatchObject({ code: "NC5011" });
  });

  it("tells that nobody answered, aloud unless asked to be quiet", async () => {
    const unreachable = vi.fn();
    listen({ unreachable });
    respond(async () => Promise.reject(new TypeError("failed to fetch")));
    expect(await problem(api("GET", "/x"))).toMatchObject({ code: UNREACHABLE, status: 0 });
    expect(unreachable).toHaveBeenCalledOnce();
    await problem(api("GET", "/x", { quiet: true }));
    expect(unreachable).toHaveBeenCalledOnce();
  });

  it("tells when the sign-in has ended", async () => {
    const unauthenticated = vi.fn();
    listen({ unauthenticated });
    respond(async () => answer("{}", 401));
    await problem(api("GET", "/x"));
    await problem(api("GET", "/x", { quiet: true }));
    expect(unauthenticated).toHaveBeenCalledOnce();
  });

  it("lets a cancelled question be cancelled", async () => {
    const stop = new AbortController();
    respond(async () => {
      stop.abort();
      throw new DOMException("aborted", "AbortError");
    });
    await expect(api("GET", "/x", { signal: stop.signal })).rejects.toThrow(DOMException);
  });
});
