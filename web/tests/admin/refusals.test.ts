import { expect, test } from "vitest";
import { worthRetrying } from "../../src/pages/admin/refusals";

test.each([
  [0, "", true],
  [503, "NC1604", true],
  [423, "", true],
  [409, "NC1601", true],
  [409, "", true],
  [409, "NC1502", false],
  [409, "NC1604", false],
  [413, "NC1605", false],
  [410, "", false],
])("a refusal with status %i and code %j is tried again: %j", (status, code, again) => {
  expect(worthRetrying(status, code)).toBe(again);
});
