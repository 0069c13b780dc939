// VMAF of each rendition, as the manifest tells it: a property of ours on its Representation, which Shaka Player passes by.

const REPRESENTATION = /<Representation\b([^>]*)>([\s\S]*?)<\/Representation>/g;
const HEIGHT = /\bheight="(\d+)"/;
const VMAF = /<SupplementalProperty schemeIdUri="urn:nearcast:vmaf:2026" value="([\d.]+)"\/>/;

/** By lines of the picture, which is how a ladder names its renditions. What was not measured is not in it. */
export function vmafByHeight(mpd: string): ReadonlyMap<number, number> {
  const found = new Map<number, number>();
  for (const [, attributes = "", content = ""] of mpd.matchAll(REPRESENTATION)) {
    const height = HEIGHT.exec(attributes)?.[1];
    const vmaf = VMAF.exec(content)?.[1];
    if (height && vmaf) found.set(Number(height), Number(vmaf));
  }
  return found;
}
