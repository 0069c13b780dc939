import { expect, it } from "vitest";
import { vmafByHeight } from "../../src/player/quality";

const representation = (height: number, vmaf = ""): string =>
  `<Representation id="a" bandwidth="9" codecs="avc1" width="${height * 2}" height="${height}" frameRate="24">\n` +
  (vmaf && `<SupplementalProperty schemeIdUri="urn:nearcast:vmaf:2026" value="${vmaf}"/>\n`) +
  '<BaseURL>x.mp4</BaseURL>\n<SegmentBase indexRange="1-2"><Initialization range="0-0"/></SegmentBase>\n</Representation>\n';

it("reads what was measured, each from its own rendition", () => {
  const mpd = `<MPD><SupplementalProperty schemeIdUri="urn:other" value="1"/>${representation(240, "71.50")}${representation(360)}${representation(1080, "95.02")}</MPD>`;
  expect([...vmafByHeight(mpd)]).toEqual([[240, 71.5], [1080, 95.02]]);
});

it("finds nothing in what is no manifest of ours", () => {
  expect(vmafByHeight("").size).toBe(0);
  expect(vmafByHeight(representation(720)).size).toBe(0);
});
