// One film on its way: upload, then each stage and rendition with its share done and the time that is left.
import type { IngestJob, Progress } from "../../api/types";
import { bytes, clock } from "../../ui/format";
import { Check, Close, Play } from "../../ui/icons";
import { sentence } from "../../ui/problem";
import { isOpen, warnings } from "./jobs";
import { cancel, uploads, type Upload } from "./uploads";

const STATES: Record<IngestJob["state"], string> = {
  uploading: "Uploading",
  queued: "Waiting for its turn",
  running: "Being made",
  done: "Published",
  failed: "Failed",
  cancelled: "Cancelled",
};

export function JobCard({ job }: { job: IngestJob }) {
  const upload = uploads.value.get(job.id);
  return (
    <article class={`panel job job-${job.state}`} data-testid="ingest-job" data-job-id={job.id} data-state={job.state} aria-label={job.name}>
      <header class="job-head">
        <div>
          <h3>{job.name}</h3>
          <p class="fine">
            {STATES[job.state]}
            {job.playable && job.state === "running" && " · can be watched already"}
          </p>
        </div>
        {job.playable && job.title_id && (
          <a class="button small" href={`#/title/${job.title_id}`} data-testid="job-watch">
            <Play size={16} /> Watch
          </a>
        )}
        {isOpen(job) && (
          <button class="icon-button" aria-label={`Cancel ${job.name}`} title="Cancel" data-testid="ingest-cancel" onClick={() => confirm(`Cancel ${job.name}?`) && void cancel(job.id)}>
            <Close size={20} />
          </button>
        )}
        {job.state === "done" && <span class="job-check"><Check size={22} /></span>}
      </header>
      {job.state === "uploading" && <Sending job={job} upload={upload} />}
      {(job.state === "running" || job.state === "failed") && job.progress.length > 0 && <Stages lines={job.progress} running={job.state === "running"} />}
      {warnings.value.get(job.id)?.map((text) => <p class="job-warning" key={text}>{sentence(text)}</p>)}
      {job.state === "failed" && (
        <div class="field-problem" role="alert" data-testid="ingest-error">
          <p>{sentence(job.error)}</p>
          {job.hint && <p>{sentence(job.hint)}</p>}
          <small data-testid="error-code">{job.error_code}</small>
        </div>
      )}
    </article>
  );
}

function Sending({ job, upload }: { job: IngestJob; upload: Upload | undefined }) {
  const sent = Math.max(upload?.sent_bytes ?? 0, job.uploaded_bytes);
  const size = job.size_bytes || upload?.size_bytes || 1;
  return (
    <div class="stage-list" data-testid="ingest-progress">
      <Line name="Upload" share={sent / size} note={upload?.state === "waiting" ? "connection lost, trying again" : `${bytes(sent)} of ${bytes(size)}`} />
      {!upload && <p class="fine">This upload does not run in this window. Choose the same file again to go on with it.</p>}
      {upload?.problem && (
        <p class="field-problem" role="alert">
          {sentence(upload.problem.message)} {sentence(upload.problem.hint)} <small>{upload.problem.code}</small>
        </p>
      )}
    </div>
  );
}

function Stages({ lines, running }: { lines: readonly Progress[]; running: boolean }) {
  return (
    <div class="stage-list" data-testid="ingest-progress">
      {lines.map((line) => {
        const share = line.total > 0 ? line.done / line.total : 0;
        const left = share >= 1 ? "done" : line.eta_s === null || !running ? "" : `${clock(line.eta_s)} left`;
        return <Line key={`${line.stage}/${line.item}`} name={`${stage(line.stage)} ${line.item}`} share={share} note={left} />;
      })}
    </div>
  );
}

function Line({ name, share, note }: { name: string; share: number; note: string }) {
  const percent = Math.round(Math.min(1, Math.max(0, share)) * 100);
  return (
    <div class={percent >= 100 ? "stage complete" : "stage"}>
      <span class="stage-name">{name}</span>
      <span class="bar" role="progressbar" aria-label={name} aria-valuenow={percent} aria-valuemin={0} aria-valuemax={100}>
        <span style={{ width: `${percent}%` }} />
      </span>
      <span class="stage-note">{percent < 100 ? `${percent} %` : ""} {note}</span>
    </div>
  );
}

function stage(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
