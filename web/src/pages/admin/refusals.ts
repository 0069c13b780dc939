// What an upload does when the fleet refuses a piece of it. Pure.

/** The upload stands at another byte than we thought: tus asks where, and goes on. */
const OTHER_OFFSET = "NC1601";

/** Is a refused upload worth another try? Not where the film itself is refused, as one that is being ingested already. */
export function worthRetrying(status: number, code: string): boolean {
  return status === 0 || status >= 500 || status === 423 || (status === 409 && (code === OTHER_OFFSET || code === ""));
}
