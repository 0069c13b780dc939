// The pictures of the interface, drawn here on a grid of 24: no fonts, no requests.
import type { ComponentChildren } from "preact";

function Icon({ children, size = 24, filled = false }: { children: ComponentChildren; size?: number; filled?: boolean }) {
  return (
    <svg
      viewBox="0 0 24 24"
      width={size}
      height={size}
      fill={filled ? "currentColor" : "none"}
      stroke={filled ? "none" : "currentColor"}
      stroke-width="1.9"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {children}
    </svg>
  );
}

const line = (d: string) => (props: { size?: number }) => <Icon {...props}><path d={d} /></Icon>;
const solid = (d: string) => (props: { size?: number }) => <Icon {...props} filled><path d={d} /></Icon>;

export const Play = solid("M7 4.6c0-.9 1-1.4 1.7-1l11 7.1c.7.5.7 1.5 0 2l-11 7.1c-.8.4-1.7-.1-1.7-1z");
export const Pause = solid("M6.5 4h3A1.5 1.5 0 0 1 11 5.5v13A1.5 1.5 0 0 1 9.5 20h-3A1.5 1.5 0 0 1 5 18.5v-13A1.5 1.5 0 0 1 6.5 4zm8 0h3A1.5 1.5 0 0 1 19 5.5v13a1.5 1.5 0 0 1-1.5 1.5h-3a1.5 1.5 0 0 1-1.5-1.5v-13A1.5 1.5 0 0 1 14.5 4z");
export const Back = line("M19 12H5m6.5-6.5L5 12l6.5 6.5");
export const Search = line("M10.8 17.6a6.8 6.8 0 1 0 0-13.6 6.8 6.8 0 0 0 0 13.6zM20 20l-4.3-4.3");
export const Plus = line("M12 5v14M5 12h14");
export const Check = line("M4.5 12.5l5 5 10-11");
export const Close = line("M6 6l12 12M18 6L6 18");
export const Like = line("M7 11l4-8c1.5 0 2.7 1.1 2.7 2.6V9h5a2 2 0 0 1 2 2.4l-1.4 7A2 2 0 0 1 17.3 20H7zm0 0H4v9h3");
export const Dislike = line("M17 13l-4 8c-1.5 0-2.7-1.1-2.7-2.6V15h-5a2 2 0 0 1-2-2.4l1.4-7A2 2 0 0 1 6.7 4H17zm0 0h3V4h-3");
export const Love = line("M12 20S4 15 4 9.3A4.3 4.3 0 0 1 12 7a4.3 4.3 0 0 1 8 2.3C20 15 12 20 12 20z");
export const Info = line("M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v5.5M12 7.5v.1");
export const Left = line("M15 5l-7 7 7 7");
export const Right = line("M9 5l7 7-7 7");
export const Down = line("M6 9l6 6 6-6");
export const Volume = line("M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11");
export const VolumeLow = line("M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4.2 4.2 0 0 1 0 6");
export const Muted = line("M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5");
export const Captions = line("M4.5 5h15A1.5 1.5 0 0 1 21 6.5v11a1.5 1.5 0 0 1-1.5 1.5h-15A1.5 1.5 0 0 1 3 17.5v-11A1.5 1.5 0 0 1 4.5 5zM10.5 10.5a2.1 2.1 0 1 0 0 3M17 10.5a2.1 2.1 0 1 0 0 3");
export const Audio = line("M4 13v-2M8 17V7M12 20V4M16 16V8M20 13v-2");
export const Gauge = line("M4.5 18a9 9 0 1 1 15 0M12 14l4-5");
export const Chart = line("M4 20h16M7 16v-4M12 16V5M17 16V9");
export const Enter = line("M4 9V5.5A1.5 1.5 0 0 1 5.5 4H9M15 4h3.5A1.5 1.5 0 0 1 20 5.5V9M20 15v3.5a1.5 1.5 0 0 1-1.5 1.5H15M9 20H5.5A1.5 1.5 0 0 1 4 18.5V15");
export const Leave = line("M9 4v3.5A1.5 1.5 0 0 1 7.5 9H4M20 9h-3.5A1.5 1.5 0 0 1 15 7.5V4M15 20v-3.5a1.5 1.5 0 0 1 1.5-1.5H20M4 15h3.5A1.5 1.5 0 0 1 9 16.5V20");
export const Restart = line("M4 4v5h5M4.7 9A8 8 0 1 1 4 13.5");
export const Upload = line("M12 16V4m-5 5l5-5 5 5M4 15v3.5A1.5 1.5 0 0 0 5.5 20h13a1.5 1.5 0 0 0 1.5-1.5V15");
export const Edit = line("M4 20h4L19.5 8.5a2.1 2.1 0 0 0-3-3L5 17zM14.5 7.5l3 3");
export const Trash = line("M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7M10.5 11v5M13.5 11v5");
export const Link = line("M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1");
export const Home = line("M4 11l8-7 8 7v8a1 1 0 0 1-1 1h-4.5v-5.5h-5V20H5a1 1 0 0 1-1-1z");

export function Skip({ back = false }: { back?: boolean }) {
  return (
    <Icon>
      <path d={back ? "M12 5a7.5 7.5 0 1 1-7.2 5.4M12 5L9 2.5M12 5L9 7.5" : "M12 5a7.5 7.5 0 1 0 7.2 5.4M12 5l3-2.5M12 5l3 2.5"} />
      <text x="12" y="15.6" text-anchor="middle" font-size="7" font-weight="700" fill="currentColor" stroke="none">10</text>
    </Icon>
  );
}

/** The mark: an arch, which is both an n and a stage, and the light close by in it. */
export function Mark({ size = 28 }: { size?: number }) {
  return (
    <svg viewBox="0 0 24 24" width={size} height={size} aria-hidden="true" focusable="false" class="mark">
      <path d="M3.6 21.5V11.9a8.4 8.4 0 0 1 16.8 0v9.6" fill="none" stroke="var(--ember)" stroke-width="4.2" stroke-linecap="butt" />
      <circle cx="12" cy="17.6" r="3.7" fill="var(--ember-soft)" />
    </svg>
  );
}

export function Logo({ size = 26 }: { size?: number }) {
  return (
    <span class="logo">
      <Mark size={size} />
      <span class="wordmark">nearcast</span>
    </span>
  );
}
