// A film goes in: drop it, say what it is, and watch it become a title.
import { useEffect, useRef, useState } from "preact/hooks";
import { problemOf } from "../../api/client";
import type { IngestJob, Metadata, Problem } from "../../api/types";
import { toast } from "../../state/toast";
import { bytes } from "../../ui/format";
import { Close, Upload } from "../../ui/icons";
import { ProblemPanel, sentence } from "../../ui/problem";
import { JobCard } from "./job";
import { jobs, jobsProblem, put, follow, watchJobs } from "./jobs";
import { MetadataFields } from "./metadata";
import { titleFromFile } from "./words";
import { begin, resume, unfinished } from "./uploads";

const NOTHING: Metadata = { name: "", synopsis: "", year: null, genres: [], credit: "" };

export function AddFilm() {
  const [file, setFile] = useState<File | null>(null);
  useEffect(watchJobs, []);
  const choose = async (chosen: File | undefined): Promise<void> => {
    if (!chosen) return;
    const job = await unfinished(chosen);
    if (!job) return setFile(chosen);
    resume(chosen);
    put(job);
    void follow(job.id);
    toast(`The upload of ${chosen.name} goes on where it stopped.`);
  };
  return (
    <div class="admin-columns">
      <section aria-label="Add a film">
        {file ? <Form file={file} onDone={() => setFile(null)} /> : <DropZone onFile={(chosen) => void choose(chosen)} />}
      </section>
      <section class="jobs" aria-label="Films on their way">
        <h2>Latest</h2>
        {jobsProblem.value && <ProblemPanel problem={jobsProblem.value} />}
        <Jobs list={jobs.value} />
      </section>
    </div>
  );
}

function Jobs({ list }: { list: IngestJob[] | null }) {
  if (!list) return <div class="panel skeleton job-waiting" />;
  if (list.length === 0) return <p class="fine">No films yet. The first one you add shows up here, stage by stage.</p>;
  return (
    <>
      {list.map((job) => (
        <JobCard key={job.id} job={job} />
      ))}
    </>
  );
}

function DropZone({ onFile }: { onFile: (file: File | undefined) => void }) {
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  return (
    <div
      class={over ? "drop over" : "drop"}
      data-testid="admin-drop"
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        onFile(event.dataTransfer?.files[0]);
      }}
    >
      <span class="drop-icon"><Upload size={34} /></span>
      <h2>Drop a film here</h2>
      <p class="fine">Any format that ffmpeg reads. It is encoded, encrypted and placed on the edges; you can watch it as soon as its first rendition is in.</p>
      <button class="button primary" onClick={() => input.current?.click()}>Choose a file</button>
      <input
        ref={input}
        type="file"
        class="visually-hidden"
        tabIndex={-1}
        accept="video/*,audio/*,.mkv,.mxf,.ts,.m2ts,.mov,.avi"
        aria-label="Film"
        data-testid="admin-upload"
        onChange={(event) => onFile(event.currentTarget.files?.[0])}
      />
    </div>
  );
}

function Form({ file, onDone }: { file: File; onDone: () => void }) {
  const [metadata, setMetadata] = useState<Metadata>({ ...NOTHING, name: titleFromFile(file.name) });
  const [clear, setClear] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const job = await begin(file, { ...metadata, name: metadata.name.trim() }, clear);
      put(job);
      void follow(job.id);
      onDone();
    } catch (error) {
      setProblem(problemOf(error));
      setBusy(false);
    }
  };
  return (
    <form class="panel film-form" data-testid="ingest-form" onSubmit={(event) => void submit(event)}>
      <p class="file-chip">
        <span>{file.name}</span>
        <small>{bytes(file.size)}</small>
        <button type="button" class="icon-button" aria-label="Choose another file" onClick={onDone}>
          <Close size={18} />
        </button>
      </p>
      <MetadataFields metadata={metadata} onChange={setMetadata} />
      <label class="check">
        <input type="checkbox" checked={clear} data-testid="ingest-clear" onChange={(event) => setClear(event.currentTarget.checked)} />
        <span>Publish without encryption <small class="fine">(any player can open it)</small></span>
      </label>
      {problem && (
        <p class="field-problem" role="alert">
          {sentence(problem.message)} {sentence(problem.hint)} <small data-testid="error-code">{problem.code}</small>
        </p>
      )}
      <div class="actions">
        <button class="button primary" type="submit" disabled={busy || !metadata.name.trim()} data-testid="ingest-submit">
          {busy ? "One moment…" : "Upload and publish"}
        </button>
        <button class="button quiet" type="button" onClick={onDone}>Cancel</button>
      </div>
    </form>
  );
}
