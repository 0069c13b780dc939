// The fields that say what a film is, for new films and for those that are here.
import { useState } from "preact/hooks";
import type { Metadata } from "../../api/types";
import { genresFrom } from "./words";

interface Properties {
  metadata: Metadata;
  onChange: (metadata: Metadata) => void;
}

export function MetadataFields({ metadata, onChange }: Properties) {
  // Genres are edited as text; split only when they are told, so that a comma can be typed.
  const [genres, setGenres] = useState(metadata.genres.join(", "));
  return (
    <>
      <label class="field">
        <span>Title</span>
        <input required maxLength={200} value={metadata.name} data-testid="meta-name" onInput={(event) => onChange({ ...metadata, name: event.currentTarget.value })} />
      </label>
      <label class="field">
        <span>Synopsis</span>
        <textarea maxLength={4000} value={metadata.synopsis} data-testid="meta-synopsis" onInput={(event) => onChange({ ...metadata, synopsis: event.currentTarget.value })} />
      </label>
      <div class="field-pair">
        <label class="field">
          <span>Year</span>
          <input
            type="number"
            min="1880"
            max="2100"
            value={metadata.year ?? ""}
            data-testid="meta-year"
            onInput={(event) => onChange({ ...metadata, year: event.currentTarget.value ? Number(event.currentTarget.value) : null })}
          />
        </label>
        <label class="field">
          <span>Genres, separated by commas</span>
          <input
            value={genres}
            data-testid="meta-genres"
            onInput={(event) => {
              setGenres(event.currentTarget.value);
              onChange({ ...metadata, genres: genresFrom(event.currentTarget.value) });
            }}
          />
        </label>
      </div>
      <label class="field">
        <span>Credit</span>
        <input value={metadata.credit} maxLength={400} placeholder="Who made it, and under which licence" onInput={(event) => onChange({ ...metadata, credit: event.currentTarget.value })} />
      </label>
    </>
  );
}
