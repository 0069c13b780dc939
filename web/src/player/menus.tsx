// The small menus of the player: one list of choices each, walked with the arrow keys.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Check } from "../ui/icons";
import { engine } from "./engine";
import { dressCaptions } from "./captions";
import { keep, type Preferences, preferences } from "./memory";
import type { Choice } from "./state";

interface Properties {
  name: string;
  label: string;
  option: string;
  choices: readonly Choice[];
  onPick: (id: string) => void;
  onClose: () => void;
  children?: ComponentChildren;
}

export function Menu({ name, label, option, choices, onPick, onClose, children }: Properties) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    box.current?.querySelector<HTMLElement>("[aria-checked=true]")?.focus();
    const outside = (event: PointerEvent): void => {
      const target = event.target as Element;
      if (!box.current?.contains(target) && !target.closest("[aria-haspopup]")) onClose();
    };
    addEventListener("pointerdown", outside);
    return () => removeEventListener("pointerdown", outside);
  }, [name]);
  const walk = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const items = [...(box.current?.querySelectorAll<HTMLElement>("[role=menuitemradio]") ?? [])];
    const place = items.indexOf(document.activeElement as HTMLElement);
    items[(place + step + items.length) % items.length]?.focus();
  };
  return (
    <div class="menu player-menu" role="menu" aria-label={label} ref={box} data-testid={`${name}-menu`} onKeyDown={walk}>
      <p class="menu-head">{label}</p>
      {choices.map((choice) => (
        <button
          key={choice.id}
          role="menuitemradio"
          aria-checked={choice.active}
          data-testid={`${option}-${choice.id}`}
          onClick={() => {
            onPick(choice.id);
            onClose();
          }}
        >
          <span class="menu-check">{choice.active && <Check size={18} />}</span>
          <span>{choice.label}</span>
          {choice.detail && <small>{choice.detail}</small>}
        </button>
      ))}
      {children}
    </div>
  );
}

const SIZES = [
  { value: 0.75, label: "Small" },
  { value: 1, label: "Medium" },
  { value: 1.4, label: "Large" },
];
const GROUNDS: { value: Preferences["caption_ground"]; label: string }[] = [
  { value: "none", label: "None" },
  { value: "shade", label: "Shade" },
  { value: "solid", label: "Solid" },
];

/** How captions look; kept for the next film. */
export function CaptionLooks() {
  const [looks, setLooks] = useState({ size: preferences().caption_size, ground: preferences().caption_ground });
  const change = (next: typeof looks): void => {
    setLooks(next);
    keep({ caption_size: next.size, caption_ground: next.ground });
    dressCaptions(engine.player);
  };
  return (
    <>
      <Segments label="Size" options={SIZES} value={looks.size} onPick={(size) => change({ ...looks, size })} />
      <Segments label="Ground" options={GROUNDS} value={looks.ground} onPick={(ground) => change({ ...looks, ground })} />
    </>
  );
}

interface SegmentsProperties<T> {
  label: string;
  options: readonly { value: T; label: string }[];
  value: T;
  onPick: (value: T) => void;
}

function Segments<T extends string | number>({ label, options, value, onPick }: SegmentsProperties<T>) {
  return (
    <div class="segments" role="group" aria-label={label}>
      <span>{label}</span>
      {options.map((each) => (
        <button key={each.value} aria-pressed={each.value === value} onClick={() => onPick(each.value)}>{each.label}</button>
      ))}
    </div>
  );
}
