// A title's picture. Upright posters are shown whole on a blurred copy of themselves; titles without one get drawn art.
import { useState } from "preact/hooks";
import type { Title } from "../api/types";
import { hash } from "./format";

export function Poster({ title, eager = false }: { title: Title; eager?: boolean }) {
  const [state, setState] = useState<"waiting" | "wide" | "upright" | "missing">(title.poster_url ? "waiting" : "missing");
  if (state === "missing") return <Art title={title} />;
  const settle = (image: HTMLImageElement): void => setState(image.naturalHeight > image.naturalWidth ? "upright" : "wide");
  return (
    <span class={`poster poster-${state}`}>
      {state === "upright" && <img class="poster-blur" src={title.poster_url} alt="" />}
      <img
        src={title.poster_url}
        alt=""
        loading={eager ? "eager" : "lazy"}
        decoding="async"
        draggable={false}
        onLoad={(event) => settle(event.currentTarget)}
        onError={() => setState("missing")}
      />
    </span>
  );
}

function Art({ title }: { title: Title }) {
  const seed = hash(title.id + title.metadata.name);
  const middle = 50 + (seed % 80);
  return (
    <span class={`poster art art-${seed % 5}`}>
      <svg viewBox="0 0 160 90" preserveAspectRatio="xMidYMax slice" aria-hidden="true" focusable="false">
        {[16, 29, 42, 55, 68, 81, 94].map((radius) => (
          <path key={radius} class="art-arch" d={`M${middle - radius} 92V${88 - radius * 0.3}a${radius} ${radius} 0 0 1 ${2 * radius} 0V92`} />
        ))}
        <circle cx={middle} cy={82} r={7} class="art-dot" />
      </svg>
      <span class="art-name">{title.metadata.name}</span>
    </span>
  );
}
