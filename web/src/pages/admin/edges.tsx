// The edges: what is believed of their health and why, how busy they are, what they hold, what they sent, what stands in the way of
// their fill.
import { useEffect, useState } from "preact/hooks";
import { api, problemOf } from "../../api/client";
import type { Appliance, ApplianceHealth, ApplianceReport, Problem } from "../../api/types";
import { bytes, counted } from "../../ui/format";
import { ProblemPanel } from "../../ui/problem";

const LOOK_MS = 2_000;
const TONES = { up: "good", draining: "warn", down: "bad" } as const;

export function Edges() {
  const [appliances, setAppliances] = useState<Appliance[] | null>(null);
  const [believed, setBelieved] = useState<Record<string, ApplianceHealth>>({});
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    let open = true;
    const look = async (): Promise<void> => {
      try {
        const answer = await api<{ appliances: Appliance[] }>("GET", "/api/v1/edges", { quiet: true });
        if (!open) return;
        setAppliances([...answer.appliances].sort((a, b) => a.report.id.localeCompare(b.report.id)));
        setProblem(null);
      } catch (error) {
        if (open) setProblem(problemOf(error));
      }
      if (open) setBelieved(await health());
    };
    void look();
    const timer = setInterval(() => void look(), LOOK_MS);
    return () => {
      open = false;
      clearInterval(timer);
    };
  }, []);
  if (!appliances) return problem ? <ProblemPanel problem={problem} title="The edges did not load" /> : <div class="panel skeleton job-waiting" />;
  if (appliances.length === 0) return <p class="nothing">No edge has reported. <code>nearcast status</code> shows what runs.</p>;
  return (
    <ul class="edge-list">
      {appliances.map((appliance) => (
        <Edge key={appliance.report.id} appliance={appliance} health={believed[appliance.report.id]} />
      ))}
    </ul>
  );
}

/** By appliance; nothing while steering does not answer, and the edges' own words stand alone. */
async function health(): Promise<Record<string, ApplianceHealth>> {
  try {
    const answer = await api<{ health: { appliances: ApplianceHealth[] } }>("GET", "/api/v1/routes", { quiet: true });
    return Object.fromEntries(answer.health.appliances.map((each) => [each.id, each]));
  } catch {
    return {};
  }
}

const megabits = (bps: number): string => `${(bps / 1e6).toFixed(1)} Mb/s`;

/** What it sends now, against what it can send where that is known. */
function sending(report: ApplianceReport): string {
  const share = report.limit_bps > 0 ? ` (${Math.round((100 * report.sent_bps) / report.limit_bps)} % of its limit)` : "";
  return `${megabits(report.sent_bps)}${share}, ${counted(report.connections, "connection")}`;
}

/** Share of the bytes sent that need not be fetched for it; nothing where nothing was sent. */
function hits(report: ApplianceReport): string {
  const sent = report.placed_bytes_total + report.reactive_bytes_total + report.missed_bytes_total;
  return sent > 0 ? `, ${((100 * (sent - report.missed_bytes_total)) / sent).toFixed(1)} % from its own disk` : "";
}

function Edge({ appliance: { report, age_s }, health }: { appliance: Appliance; health: ApplianceHealth | undefined }) {
  const stale = age_s > report.lease_s;
  const { state, load } = health ?? report;
  const total = report.held_bytes + report.missing_bytes;
  const share = total > 0 ? report.held_bytes / total : 1;
  const told = load === "normal" || state !== "up" ? state : load;
  const tone = stale ? "bad" : told === "full" ? "bad" : told === "high" ? "warn" : TONES[state];
  return (
    <li class="panel edge" data-testid="admin-edge" data-edge-id={report.id} data-state={stale ? "silent" : state}>
      <header class="job-head">
        <div>
          <h3>{report.id}</h3>
          <p class="fine place">{report.site}</p>
        </div>
        <span class="film-state"><span class={`dot ${tone}`} />{stale ? `silent for ${Math.round(age_s)} s` : told}</span>
      </header>
      {share < 1 && (
        <span class="bar" role="progressbar" aria-label="Of what it is to hold" aria-valuenow={Math.round(share * 100)} aria-valuemin={0} aria-valuemax={100}>
          <span style={{ width: `${share * 100}%` }} />
        </span>
      )}
      <dl class="details">
        <div><dt>Holds</dt><dd>{bytes(report.held_bytes)} in {counted(Object.keys(report.holdings).length, "title")}{report.missing_bytes > 0 && `, ${bytes(report.missing_bytes)} to come`}</dd></div>
        {report.fill_bps > 0 && report.missing_bytes > 0 && <div><dt>Fetches</dt><dd>{megabits(report.fill_bps)}</dd></div>}
        <div><dt>Sends</dt><dd>{sending(report)}</dd></div>
        <div><dt>Sent</dt><dd>{bytes(report.sent_bytes_total)} in {counted(report.requests_total, "request")}{hits(report)}</dd></div>
        <div><dt>Room</dt><dd>{bytes(report.capacity_bytes)} for placed films, {bytes(report.disk_free_bytes)} free on the disk{report.reactive_bytes > 0 && `, ${bytes(report.reactive_bytes)} kept of what viewers asked for`}</dd></div>
        {health?.why && <div><dt>Health</dt><dd>{health.why}</dd></div>}
        {report.problem && <div><dt>Problem</dt><dd>{report.problem}</dd></div>}
        <div><dt>Address</dt><dd class="mono">{report.address}</dd></div>
      </dl>
    </li>
  );
}
