// Every title, published or not: edit what is said of it, or withdraw it.
import { useEffect, useRef, useState } from "preact/hooks";
import { api, problemOf } from "../../api/client";
import type { Metadata, Problem, Title, TitleList } from "../../api/types";
import { loadHome } from "../../state/titles";
import { toast } from "../../state/toast";
import { quality, runtime } from "../../ui/format";
import { Edit, Trash } from "../../ui/icons";
import { Poster } from "../../ui/poster";
import { ProblemPanel, sentence } from "../../ui/problem";
import { MetadataFields } from "./metadata";

const STATES: Record<Title["state"], { label: string; tone: string }> = {
  processing: { label: "Being made", tone: "warn" },
  playable: { label: "Playable, more to come", tone: "warn" },
  complete: { label: "Complete", tone: "good" },
  unpublished: { label: "Unpublished", tone: "bad" },
};

export function Films() {
  const [titles, setTitles] = useState<Title[] | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [editing, setEditing] = useState<Title | null>(null);
  const load = async (): Promise<void> => {
    try {
      setTitles((await api<TitleList>("GET", "/api/v1/titles?everything=true&limit=200")).titles);
      setProblem(null);
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  useEffect(() => void load(), []);
  const withdraw = async (title: Title): Promise<void> => {
    if (!confirm(`Unpublish ${title.metadata.name}? Its files leave the edges; viewers in mid-film can finish.`)) return;
    try {
      await api("DELETE", `/api/v1/titles/${title.id}`);
      toast(`${title.metadata.name} is unpublished.`);
      void loadHome();
    } catch (error) {
      toast(problemOf(error).message, "warning");
    }
    await load();
  };
  if (problem) return <ProblemPanel problem={problem} title="The films did not load" />;
  if (!titles) return <div class="panel skeleton job-waiting" />;
  if (titles.length === 0) return <p class="nothing">No films yet. <a class="link" href="#/admin/add">Add the first one.</a></p>;
  return (
    <>
      <ul class="film-list">
        {titles.map((title) => (
          <li class="film" key={title.id} data-testid="admin-title" data-title-id={title.id}>
            <a class="film-picture" href={`#/title/${title.id}`} tabIndex={-1} aria-hidden="true"><Poster title={title} /></a>
            <div class="film-text">
              <a href={`#/title/${title.id}`}><strong>{title.metadata.name}</strong></a>
              <span class="fine">
                {[title.metadata.year, runtime(title.runtime_s), quality(title.max_height), title.metadata.genres.join(", "), title.clear ? "not encrypted" : ""].filter(Boolean).join(" · ")}
              </span>
            </div>
            <span class="film-state"><span class={`dot ${STATES[title.state].tone}`} />{STATES[title.state].label}</span>
            <span class="film-actions">
              <button class="icon-button" aria-label={`Edit ${title.metadata.name}`} title="Edit" data-testid="admin-edit" onClick={() => setEditing(title)}><Edit size={20} /></button>
              {title.state !== "unpublished" && (
                <button class="icon-button" aria-label={`Unpublish ${title.metadata.name}`} title="Unpublish" data-testid="admin-unpublish" onClick={() => void withdraw(title)}><Trash size={20} /></button>
              )}
            </span>
          </li>
        ))}
      </ul>
      {editing && (
        <Editor
          title={editing}
          onClose={(saved) => {
            setEditing(null);
            if (saved) void load().then(loadHome);
          }}
        />
      )}
    </>
  );
}

function Editor({ title, onClose }: { title: Title; onClose: (saved: boolean) => void }) {
  const [metadata, setMetadata] = useState<Metadata>(title.metadata);
  const [problem, setProblem] = useState<Problem | null>(null);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const save = async (event: Event): Promise<void> => {
    event.preventDefault();
    try {
      await api("PATCH", `/api/v1/titles/${title.id}`, { body: metadata });
      onClose(true);
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  return (
    <dialog class="dialog" ref={dialog} aria-label={`Edit ${title.metadata.name}`} onClose={() => onClose(false)}>
      <form class="film-form" data-testid="metadata-form" onSubmit={(event) => void save(event)}>
        <h2>Edit {title.metadata.name}</h2>
        <MetadataFields metadata={metadata} onChange={setMetadata} />
        {problem && <p class="field-problem" role="alert">{sentence(problem.message)} {sentence(problem.hint)} <small>{problem.code}</small></p>}
        <div class="actions">
          <button class="button primary" type="submit" data-testid="metadata-save">Save</button>
          <button class="button quiet" type="button" onClick={() => onClose(false)}>Cancel</button>
        </div>
      </form>
    </dialog>
  );
}
