// Faces of profiles: a colour world and a simple form each, no pictures to load.

export const AVATARS = ["ember", "tide", "moss", "dusk", "dune", "frost", "plum", "sol"] as const;

const FORMS: Record<string, string> = {
  ember: "M50 14c14 18 26 28 26 46a26 26 0 0 1-52 0c0-10 5-16 10-22 1 8 4 12 8 14 0-14 2-26 8-38z",
  tide: "M8 58c14-16 28-16 42 0s28 16 42 0v42H8zM8 38c14-14 28-14 42 0s28 14 42 0",
  moss: "M50 88V44M50 60c-22 0-30-14-30-30 20 0 30 12 30 30zm0-10c0-18 10-30 30-30 0 18-10 30-30 30z",
  dusk: "M0 66h100v34H0zM50 66a24 24 0 1 1 .1 0z",
  dune: "M0 72c24-30 40-34 62-16 14 10 24 10 38 2v42H0zM70 34a10 10 0 1 1 .1 0z",
  frost: "M50 14v72M19 32l62 36M81 32L19 68",
  plum: "M50 26a28 28 0 1 1-.1 0zM50 26c0-8 6-14 14-14",
  sol: "M50 30a20 20 0 1 1-.1 0zM50 8v10M50 82v10M8 50h10M82 50h10M20 20l7 7M73 73l7 7M80 20l-7 7M27 73l-7 7",
};
const STROKED = new Set(["moss", "frost", "sol"]);

export function Avatar({ name, size = 40 }: { name: string; size?: number }) {
  const kind = name in FORMS ? name : "ember";
  return (
    <svg class={`avatar avatar-${kind}`} viewBox="0 0 100 100" width={size} height={size} aria-hidden="true" focusable="false">
      <rect class="avatar-ground" width="100" height="100" />
      <path class={STROKED.has(kind) ? "avatar-line" : "avatar-form"} d={FORMS[kind]} />
    </svg>
  );
}
