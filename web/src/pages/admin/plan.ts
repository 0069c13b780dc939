// What an operator types or pastes as an ISP's plan, one line each, or as a new configuration, as the gateway takes it. Pure.
import type { PlannedSteering, Rehearse } from "../../api/types";
import OPTIONS from "./options.json";

export interface Plan {
  body: Rehearse;
  /** The lines that make no sense, with what is wrong. */
  mistakes: string[];
}

const LINE = /^(?:(announce|withdraw|\+|-)\s+)?(\S+)(.*)$/i;
const PREFIX = /^[0-9a-f:.]+\/\d{1,3}$/i;

/** `20.4.0.0/16`, `announce 20.4.0.0/16 as-path 64511 64999 med 20`, `withdraw 20.1.0.0/16`; `#` begins a remark. */
export function planned(text: string, isp: string, site: string): Plan {
  const body: Rehearse = { announce: [], withdraw: [] };
  const mistakes: string[] = [];
  for (const raw of text.split("\n")) {
    const line = raw.replace(/#.*/, "").trim();
    const found = LINE.exec(line);
    if (!found) continue;
    const [, verb = "announce", prefix = "", rest = ""] = found;
    if (!PREFIX.test(prefix)) {
      mistakes.push(`${line}: ${prefix} is no prefix, as 203.0.113.0/24`);
      continue;
    }
    if (verb === "-" || verb.toLowerCase() === "withdraw") {
      if (rest.trim()) mistakes.push(`${line}: a withdrawal has nothing but its prefix`);
      else body.withdraw.push({ prefix, isp, site });
      continue;
    }
    const attributes = attributesOf(rest);
    if (attributes) body.announce.push({ prefix, isp, site, ...attributes });
    else mistakes.push(`${line}: after the prefix come only “as-path 64511 64999” and “med 20”`);
  }
  return { body, mistakes };
}

function attributesOf(text: string): { as_path: number[]; med: number } | null {
  const found = /^(?:\s+as-path\s+([\d\s,[\]]+?))?(?:\s+med\s+(\d{1,10}))?\s*$/i.exec(text.trim() ? ` ${text.trim()}` : "");
  if (!found) return null;
  const numbers = (found[1] ?? "").match(/\d+/g) ?? [];
  return { as_path: numbers.map(Number), med: Number(found[2] ?? 0) };
}

const FIELDS = {
  sites: ["name", "tier", "zone", "parents", "isp", "latitude", "longitude"],
  isps: ["name", "asn", "sites", "allow", "prefixes_max"],
  routes: ["prefix", "sites"],
  geographic: ["mmdb", "blocks"],
};

const MISTAKES_MAX = 20;

type Table = Record<string, unknown>;
const isTable = (value: unknown): value is Table => typeof value === "object" && value !== null && !Array.isArray(value);

/** What of a configuration file moves viewers. The rest of it, passwords among it, stays in the browser. What is no option is a mistake: it
 * would be compared as if it were not there. */
export async function configured(text: string): Promise<Plan> {
  const nothing: Rehearse = { announce: [], withdraw: [] };
  const { parse } = await import("smol-toml");
  let whole: Table;
  try {
    whole = parse(text);
  } catch (error) {
    return { body: nothing, mistakes: [`this is no TOML: ${(error instanceof Error ? error.message : String(error)).split("\n")[0]}`] };
  }
  const mistakes = strange("", whole, OPTIONS.configuration);
  const steering = whole.steering ?? {};
  if (!isTable(steering)) return { body: nothing, mistakes: [...mistakes, "steering is no table: [steering]"] };
  mistakes.push(...strange("steering", steering, OPTIONS.steering));
  const wanted: Table = {};
  for (const name of ["sites", "isps", "routes"] as const) {
    const rows = steering[name];
    if (rows === undefined) continue;
    if (!Array.isArray(rows) || !rows.every(isTable)) mistakes.push(`steering.${name} is no list of tables: [[steering.${name}]]`);
    else {
      mistakes.push(...rows.flatMap((each, index) => strange(`steering.${name}[${index}]`, each, OPTIONS[name])));
      wanted[name] = rows.map((each) => picked(each, FIELDS[name]));
    }
  }
  for (const name of ["bgp", "geographic"] as const) {
    const table = steering[name];
    if (table === undefined) continue;
    if (!isTable(table)) mistakes.push(`steering.${name} is no table: [steering.${name}]`);
    else {
      mistakes.push(...strange(`steering.${name}`, table, OPTIONS[name]));
      if (name === "geographic") wanted.geographic = picked(table, FIELDS.geographic);
      else if (table.asn !== undefined) wanted.asn = table.asn;
    }
  }
  if (!mistakes.length && !Object.keys(wanted).length) mistakes.push("nothing of it is compared: sites, isps, routes, geographic, and asn of bgp are, in [steering]");
  if (mistakes.length > MISTAKES_MAX) mistakes.splice(MISTAKES_MAX, Infinity, `${mistakes.length - MISTAKES_MAX} more mistakes`);
  // The gateway checks every value; what is wrong it names.
  return { body: mistakes.length ? nothing : { ...nothing, ...(wanted as PlannedSteering) }, mistakes };
}

/** The keys of a table that are no options. */
function strange(where: string, table: Table, known: string[]): string[] {
  return Object.keys(table)
    .filter((name) => !known.includes(name))
    .map((name) => {
      const [near] = known.filter((each) => steps(name, each) <= 2).sort((one, other) => steps(name, one) - steps(name, other));
      return `${where && `${where}.`}${name} is no option; ${near ? `did you mean ${near}?` : `known here: ${known.join(", ")}`}`;
    });
}

/** By how many letters that are added, left out or changed two words differ (Levenshtein). */
function steps(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let from = 1; from <= one.length; from++) {
    const next = [from];
    for (let to = 1; to <= other.length; to++) {
      const changed = (row[to - 1] ?? 0) + Number(one[from - 1] !== other[to - 1]);
      next.push(Math.min(changed, (row[to] ?? 0) + 1, (next[to - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}

function picked(table: Table, names: string[]): Table {
  return Object.fromEntries(names.filter((name) => table[name] !== undefined).map((name) => [name, table[name]]));
}

/** How much a prefix has room for: addresses of IPv4, networks of a household (/64) of IPv6. */
export function room(prefix: string, addresses: number): string {
  const unit = prefix.includes(":") ? "/64" : "address";
  const plural = prefix.includes(":") ? "/64s" : "addresses";
  const count = addresses >= 1 ? Math.round(addresses).toLocaleString("en") : addresses.toPrecision(2);
  return `${count} ${count === "1" ? unit : plural}`;
}
