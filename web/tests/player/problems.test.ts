import { describe, expect, it } from "vitest";
import { isTransient, playerCode, playerProblem, type ShakaError } from "../../src/player/problems";
import texts from "../../src/player/problems.json";

const shaka = (category: number, code: number, data: unknown[] = []): ShakaError => ({ category, code, data, severity: 2 });

describe("playerCode", () => {
  it.each([
    [shaka(1, 1001, ["uri", 403]), "NC5003"],
    [shaka(1, 1001, ["uri", 410]), "NC5003"],
    [shaka(1, 1001, ["uri", 404]), "NC5002"],
    [shaka(1, 1001, ["uri", 416]), "NC5002"],
    [shaka(1, 1001, ["uri", 502]), "NC5001"],
    [shaka(1, 1002), "NC5001"],
    [shaka(1, 1003), "NC5001"],
    [shaka(3, 3016), "NC5009"],
    [shaka(3, 3017), "NC5013"],
    [shaka(4, 4001), "NC5004"],
    [shaka(4, 4032), "NC5005"],
    [shaka(6, 6001), "NC5006"],
    [shaka(6, 6007, [shaka(1, 1001, ["uri", 403])]), "NC5007"],
    [shaka(6, 6007, [shaka(1, 1002)]), "NC5008"],
    [shaka(6, 6008), "NC5007"],
    [shaka(6, 6014), "NC5003"],
    [shaka(7, 7002), "NC5000"],
  ])("tells the cause of %o", (error, code) => {
    expect(playerCode(error)).toBe(code);
  });
});

describe("playerProblem", () => {
  it("carries our code, a cause, a hint, Shaka's own code and the request id", () => {
    const problem = playerProblem(shaka(1, 1003), "r-1");
    expect(problem).toMatchObject({ code: "NC5001", request_id: "r-1" });
    expect(problem.message).toContain("1.1003");
    expect(problem.hint).not.toBe("");
  });

  it("lets the gateway speak where it refused the licence", () => {
    const told = { code: "NC4104", message: "the session has expired", hint: "press Play again", request_id: "r-9", status: 403 };
    const cause = shaka(1, 1001, ["/license", 403, JSON.stringify(told), { "x-request-id": "r-9" }, 2]);
    const problem = playerProblem(shaka(6, 6007, [cause]), "r-1");
    expect(problem).toMatchObject({ code: "NC5007", request_id: "r-9", hint: "press Play again" });
    expect(problem.message).toContain("the session has expired (NC4104)");
  });

  it("is not upset by things that are no Shaka errors", () => {
    expect(playerProblem(new TypeError("x is not a function"), "r-1")).toMatchObject({ code: "NC5000", request_id: "r-1" });
    expect(playerProblem("boom", "").code).toBe("NC5000");
  });
});

it("every text has a sentence without a full stop and a hint", () => {
  for (const [code, { message, hint }] of Object.entries(texts)) {
    expect(code).toMatch(/^NC5\d{3}$/);
    expect(message).toMatch(/[^.]$/);
    expect(hint).not.toBe("");
  }
});

it("only faults of the way to the edges are worth a second try", () => {
  expect(["NC5001", "NC5002", "NC5003"].every(isTransient)).toBe(true);
  expect(["NC5005", "NC5006", "NC5007", "NC5009"].some(isTransient)).toBe(false);
});
