// Mouse and touch on the picture: a click plays or pauses, a double click fills the screen; on glass a tap shows the controls
// and a double tap at a side jumps ten seconds.
import { engine } from "./engine";
import { seekBy, toggleFullscreen } from "./keys";

const DOUBLE_MS = 280;

export function bindTouch(surface: HTMLElement, stir: () => void, doze: () => void): () => void {
  let last = { at: 0, x: 0 };
  let pending: ReturnType<typeof setTimeout> | undefined;
  let awake = false;
  const down = (): void => {
    awake = !surface.parentElement?.classList.contains("asleep");
  };
  const up = (event: PointerEvent): void => {
    if (event.button !== 0) return;
    const double = event.timeStamp - last.at < DOUBLE_MS && Math.abs(event.clientX - last.x) < 60;
    last = { at: double ? 0 : event.timeStamp, x: event.clientX };
    if (event.pointerType === "mouse") {
      clearTimeout(pending);
      if (double) toggleFullscreen();
      // A click waits for its twin, so that a double click does not pause the film on its way.
      else pending = setTimeout(() => engine.toggle(), DOUBLE_MS - 80);
      return;
    }
    clearTimeout(pending);
    stir();
    if (!double) {
      // A single tap shows the controls, or puts them away where they were there already.
      if (awake) pending = setTimeout(doze, DOUBLE_MS);
      return;
    }
    const share = event.clientX / surface.clientWidth;
    if (share < 0.35) seekBy(-10);
    else if (share > 0.65) seekBy(10);
    else engine.toggle();
  };
  surface.addEventListener("pointerdown", down);
  surface.addEventListener("pointerup", up);
  return () => {
    clearTimeout(pending);
    surface.removeEventListener("pointerdown", down);
    surface.removeEventListener("pointerup", up);
  };
}
