// Where viewers go and why, who would move if sites, ISPs or what these announce changed, and where routes come from.
import { useEffect, useState } from "preact/hooks";
import { api, problemOf } from "../../api/client";
import type { Considered, Explanation, Problem, Rehearsal, RouteSource, RoutingStatus, Title, TitleList } from "../../api/types";
import { counted } from "../../ui/format";
import { ProblemPanel, sentence } from "../../ui/problem";
import { configured, planned, room } from "./plan";

const LOOK_MS = 5_000;
const LISTED = 50;
/** More than the service (60 s) and the gateway (70 s) take, so that it is told why a rehearsal was given up. */
const REHEARSE_MS = 80_000;
const DEFAULTS = ["0.0.0.0/0", "::/0"];
const KINDS: Record<RouteSource["kind"], string> = { config: "Configuration", bgp: "BGP", geographic: "Geography" };
/** What is rehearsed where it is no ISP's plan. */
const CONFIGURATION = "";
const TONES: Record<Considered["verdict"], string> = { chosen: "good", spare: "warn", rejected: "bad" };

export function Routes() {
  const [status, setStatus] = useState<RoutingStatus | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    let open = true;
    const look = (): void =>
      void api<RoutingStatus>("GET", "/api/v1/routes", { quiet: true }).then(
        (found) => open && (setStatus(found), setProblem(null)),
        (error: unknown) => open && setProblem(problemOf(error)),
      );
    look();
    const timer = setInterval(look, LOOK_MS);
    return () => {
      open = false;
      clearInterval(timer);
    };
  }, []);
  return (
    <div class="routes">
      <Explain />
      <Plan isps={(status?.sources ?? []).filter((each) => each.kind === "bgp").map((each) => each.name)} />
      {problem && <ProblemPanel problem={problem} title="The sources did not load" />}
      {status && <Sources status={status} />}
    </div>
  );
}

function Explain() {
  const [address, setAddress] = useState("");
  const [title, setTitle] = useState("");
  const [titles, setTitles] = useState<Title[]>([]);
  const [found, setFound] = useState<Explanation | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => void api<TitleList>("GET", "/api/v1/titles?limit=200", { quiet: true }).then((list) => setTitles(list.titles), () => {}), []);
  const ask = async (event: Event): Promise<void> => {
    event.preventDefault();
    const query = new URLSearchParams({ address: address.trim(), title_id: title });
    try {
      setFound(await api<Explanation>("GET", `/api/v1/routes/explain?${query}`));
      setProblem(null);
    } catch (error) {
      setFound(null);
      setProblem(problemOf(error));
    }
  };
  return (
    <section class="panel route-part" aria-label="Explain">
      <h2>Why does a viewer go there?</h2>
      <form class="inline-form" onSubmit={(event) => void ask(event)}>
        <input required maxLength={60} placeholder="Address, as 203.0.113.7" aria-label="Address" data-testid="explain-address" spellcheck={false} value={address} onInput={(event) => setAddress(event.currentTarget.value)} />
        <select aria-label="Title" data-testid="explain-title" value={title} onChange={(event) => setTitle(event.currentTarget.value)}>
          <option value="">Any title</option>
          {titles.map((each) => <option key={each.id} value={each.id}>{each.metadata.name}</option>)}
        </select>
        <button class="button primary" type="submit" data-testid="explain-ask">Explain</button>
      </form>
      {problem && <Refusal problem={problem} />}
      {found && <Answer found={found} />}
    </section>
  );
}

function Answer({ found }: { found: Explanation }) {
  const chosen = found.considered.filter((each) => each.verdict === "chosen");
  const way = DEFAULTS.includes(found.prefix) ? "the default route" : found.prefix ? `the route ${found.prefix}` : "no route, as none holds it";
  return (
    <div class="route-answer" data-testid="explain-answer">
      <p class="route-headline">
        <code>{found.address}</code>{found.counted_as !== found.address && <> (counted as <code>{found.counted_as}</code>)</>} goes{" "}
        {chosen[0] ? <>to <strong>{chosen[0].appliance}</strong> in {chosen[0].site}</> : "nowhere"} by {way}
        {chosen.length > 1 && <>, then {chosen.slice(1).map((each) => `${each.appliance} in ${each.site}`).join(", ")}</>}.
      </p>
      {found.last_known && <p class="job-warning">Health or routes are the last known: nobody renews them.</p>}
      <div class="route-scroll">
        <table class="route-table" data-testid="explain-ways">
          <thead><tr><th>Site</th><th>Prefix</th><th>Told by</th><th>AS path</th><th>MED</th><th>Distance</th><th>It stands here because</th></tr></thead>
          <tbody>
            {found.candidates.map((each, index) => (
              <tr key={index} class={each.why === "named above" ? "dim" : ""}>
                <td>{each.site}</td>
                <td class="mono">{each.prefix}</td>
                <td>{each.source === "config" ? "configuration" : each.source}</td>
                <td class="mono">{each.as_path.join(" ") || "–"}</td>
                <td class="mono">{each.as_path.length ? each.med : "–"}</td>
                <td>{each.distance_km >= 0 ? `${Math.round(each.distance_km).toLocaleString("en")} km` : "–"}</td>
                <td>{each.why}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <ul class="film-list">
        {found.considered.map((each) => (
          <li class="film route-considered" key={each.appliance} data-testid="explain-considered" data-appliance={each.appliance} data-verdict={each.verdict}>
            <span class="film-state"><span class={`dot ${TONES[each.verdict]}`} />{each.verdict}</span>
            <span class="route-who"><strong>{each.appliance}</strong> <span class="fine">{each.site}</span></span>
            <span class="route-why">{sentence(each.why)}</span>
          </li>
        ))}
      </ul>
      {found.note && <p class="fine" data-testid="explain-note">{sentence(found.note)}</p>}
    </div>
  );
}

function Plan({ isps }: { isps: string[] }) {
  const [isp, setIsp] = useState<string | null>(null);
  const [site, setSite] = useState("");
  const [lines, setLines] = useState("");
  const [toml, setToml] = useState("");
  const [found, setFound] = useState<Rehearsal | null>(null);
  const [mistakes, setMistakes] = useState<string[]>([]);
  const [problem, setProblem] = useState<Problem | null>(null);
  const who = isp ?? isps[0] ?? CONFIGURATION;
  const [text, setText] = who === CONFIGURATION ? [toml, setToml] : [lines, setLines];
  const choose = (name: string): void => {
    setIsp(name);
    setFound(null);
    setMistakes([]);
    setProblem(null);
  };
  const ask = async (event: Event): Promise<void> => {
    event.preventDefault();
    setFound(null);
    setProblem(null);
    const plan = who === CONFIGURATION ? await configured(text) : planned(text, who, site.trim());
    setMistakes(plan.mistakes);
    if (plan.mistakes.length) return;
    try {
      setFound(await api<Rehearsal>("POST", "/api/v1/routes/rehearse", { body: { ...plan.body, limit: LISTED }, timeout_ms: REHEARSE_MS }));
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  return (
    <section class="panel route-part" aria-label="Rehearse">
      <h2>Who would move?</h2>
      <form class="film-form" onSubmit={(event) => void ask(event)}>
        {who === CONFIGURATION ? (
          <p class="fine">A new configuration, or what changes of it: <code>[[steering.sites]]</code>, <code>[[steering.isps]]</code>, <code>[[steering.routes]]</code>, <code>[steering.bgp]</code> <code>asn</code>, <code>[steering.geographic]</code>. A table that it leaves out stays as it is in force; one that it has stands for the whole of it. Nothing is changed.</p>
        ) : (
          <p class="fine">What an ISP plans, one prefix a line: <code>20.4.0.0/16</code>, <code>announce 20.4.0.0/16 as-path 64511 64999 med 20</code>, <code>withdraw 20.1.0.0/16</code>. Nothing is changed.</p>
        )}
        <div class="inline-form">
          <select aria-label="Who plans" data-testid="plan-isp" value={who} onChange={(event) => choose(event.currentTarget.value)}>
            {isps.map((each) => <option key={each} value={each}>{each}</option>)}
            <option value={CONFIGURATION}>A new configuration</option>
          </select>
          {who !== CONFIGURATION && <input placeholder="All of its sites" aria-label="Site" value={site} onInput={(event) => setSite(event.currentTarget.value)} />}
        </div>
        <label class="field">
          <span>{who === CONFIGURATION ? "TOML" : "Plan"}</span>
          <textarea required rows={who === CONFIGURATION ? 10 : 4} data-testid="plan-text" class="mono" spellcheck={false} value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        <div class="actions"><button class="button primary" type="submit" data-testid="plan-ask">Rehearse</button></div>
      </form>
      {mistakes.length > 0 && <ul class="field-problem" role="alert" data-testid="plan-mistakes">{mistakes.map((each) => <li key={each}>{each}</li>)}</ul>}
      {problem && <Refusal problem={problem} />}
      {found && <Movement found={found} isp={who} />}
    </section>
  );
}

function Movement({ found, isp }: { found: Rehearsal; isp: string }) {
  const more = found.moved_total - found.moved.length;
  const unlisted = [
    [found.refused_total - found.refused.length, "refused"],
    [found.accepted_total - found.accepted.length, "taken"],
  ] as const;
  return (
    <div class="route-answer" data-testid="plan-answer">
      {found.changes.length > 0 && <ul class="fine" data-testid="plan-changes">{found.changes.map((each) => <li key={each}>{sentence(each)}</li>)}</ul>}
      {found.refused.map((each) => <p key={`${each.source} ${each.prefix}`} class="field-problem" data-testid="plan-refused">Refused{each.source !== isp && ` of ${each.source}`}: {sentence(each.why)}</p>)}
      {found.accepted.map((each) => <p key={`${each.source} ${each.prefix}`} class="fine" data-testid="plan-accepted">Taken from then on of {each.source}: <code>{each.prefix}</code></p>)}
      {unlisted.map(([count, what]) => count > 0 && <p key={what} class="fine">{count.toLocaleString("en")} more would be {what}.</p>)}
      <p class="route-headline">{found.moved_total ? `${counted(found.moved_total, "block")} of addresses would move.` : "Nobody would move."}{more > 0 && ` The ${found.moved.length} largest:`}</p>
      {found.moved.length > 0 && (
        <div class="route-scroll">
          <table class="route-table" data-testid="plan-moved">
            <thead><tr><th>Viewers in</th><th>Room for</th><th>From</th><th>To</th></tr></thead>
            <tbody>
              {found.moved.map((each) => (
                <tr key={each.prefix}>
                  <td class="mono">{each.prefix}</td>
                  <td>{room(each.prefix, each.addresses)}</td>
                  <td>{each.before.join(", ") || "(no route)"}</td>
                  <td>{each.after.join(", ") || "(no route)"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}

const prefixes = (count: number, kind = ""): string => `${count.toLocaleString("en")} ${kind}prefix${count === 1 ? "" : "es"}`;

const utc = (unix_s: number): string => `${new Date(unix_s * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`;

function Sources({ status }: { status: RoutingStatus }) {
  return (
    <section class="panel route-part" aria-label="Sources">
      <h2>Where routes come from</h2>
      <p class="fine">
        Table {status.version}: {prefixes(status.prefixes_ipv4, "IPv4 ")}, {prefixes(status.prefixes_ipv6, "IPv6 ")}, {status.overlay.toLocaleString("en")} changed since it was compiled.
      </p>
      <ul class="film-list">
        {status.sources.map((each) => (
          <li class="film" key={each.name} data-testid="route-source" data-source={each.name} data-state={each.state}>
            <div class="film-text route-source">
              <strong>{each.name}</strong>
              <span class="fine">{KINDS[each.kind]} · {prefixes(each.prefixes)}{each.refused > 0 && ` · ${each.refused.toLocaleString("en")} refused`}</span>
              {each.problem && <span class="fine">{sentence(each.problem)}</span>}
              {each.last_refused && <span class="fine" data-testid="route-refused">Last refused, {utc(each.last_refused_at)}: {sentence(each.last_refused)}</span>}
            </div>
            <span class="film-state"><span class={`dot ${each.state === "down" ? "bad" : "good"}`} />{each.state}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Refusal({ problem }: { problem: Problem }) {
  return <p class="field-problem" role="alert" data-testid="route-problem">{sentence(problem.message)} {sentence(problem.hint)} <small>{problem.code}</small></p>;
}
