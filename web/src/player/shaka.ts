// Shaka Player as it is set up here: quick to start, quick to leave a sick edge, silent about nothing.
import shaka from "shaka-player/dist/shaka-player.dash-es2021.js";
import { preferences } from "./memory";

export { shaka };
export type Player = shaka.Player;

/** Addresses of this scheme name manifests that are already here, inside the answer to Play. */
export const INLINE = "nearcast-inline";
const manifests = new Map<string, string>();

/** Makes a manifest loadable without a request; returns its address. The one before is let go. */
export function inline(session_id: string, mpd: string): string {
  manifests.clear();
  // Steering is followed by the player's own network room, which keeps every edge at hand; Shaka's would ban all edges of a host.
  manifests.set(session_id, mpd.replace(/<ContentSteering[\s\S]*?<\/ContentSteering>/, ""));
  return `${INLINE}:${session_id}`;
}

let prepared = false;

export function prepare(): void {
  if (prepared) return;
  prepared = true;
  shaka.polyfill.installAll();
  shaka.net.NetworkingEngine.registerScheme(INLINE, (uri, request) => {
    // What CMCD puts behind the address is not part of the name.
    const name = uri.slice(INLINE.length + 1).split("?")[0] ?? "";
    const text = manifests.get(name) ?? "";
    const data = new TextEncoder().encode(text);
    const headers = { "content-type": "application/dash+xml" };
    return shaka.util.AbortableOperation.completed({ uri, originalUri: uri, data: data.buffer, headers, timeMs: 0, originalRequest: request });
  });
}

const FIRST_GUESS_BPS = 4e6;
const retries = { maxAttempts: 9, baseDelay: 60, backoffFactor: 1.6, fuzzFactor: 0.5, timeout: 0, connectionTimeout: 1_200, stallTimeout: 1_500 };

export function configuration(session: { session_id: string; title_id: string }, license_url: string, languages: { audio: string; text: string }) {
  return {
    drm: {
      servers: { "org.w3.clearkey": license_url },
      retryParameters: { ...retries, maxAttempts: 3, baseDelay: 300, connectionTimeout: 6_000, stallTimeout: 6_000 },
    },
    manifest: { retryParameters: { ...retries, maxAttempts: 2 } },
    streaming: {
      retryParameters: retries,
      rebufferingGoal: 0.1,
      ...EAGER,
      bufferBehind: 30,
      // One rendition that fails on every edge is left for the others this long.
      maxDisabledTime: 10,
      lowLatencyMode: false,
      inaccurateManifestTolerance: 0,
    },
    abr: {
      // No change of mind before the first frame: what is under way is the quickest way to it.
      enabled: false,
      defaultBandwidthEstimate: preferences().throughput_bps || FIRST_GUESS_BPS,
      useNetworkInformation: false,
    },
    // The session id is a capability and has no place in an edge's log; its first 16 characters are the public nonce, unique enough.
    cmcd: { enabled: true, useHeaders: false, sessionId: session.session_id.slice(0, 16), contentId: session.title_id },
    // An edge near its limit tells its players what to take (CMSD `mb`, `etp`), before it has to refuse any.
    cmsd: { enabled: true, applyMaximumSuggestedBitrate: true, estimatedThroughputWeightRatio: 0.5 },
    preferredAudio: languages.audio ? [{ language: languages.audio }] : [],
    preferredText: languages.text ? [{ language: languages.text }] : [],
  };
}

/** Until the first frame nothing may compete with it; from then on the buffer grows, so that an edge may fail unseen. */
export const EAGER = { bufferingGoal: 3, segmentPrefetchLimit: 1 };
export const STEADY = { bufferingGoal: 40, segmentPrefetchLimit: 2 };

/** What a browser does slowly the first time: it is asked once, before anyone presses Play. */
export async function rehearse(): Promise<void> {
  const video = { contentType: 'video/mp4; codecs="avc1.640028"', width: 1920, height: 1080, bitrate: 5e6, framerate: 30 };
  const audio = { contentType: 'audio/mp4; codecs="mp4a.40.2"', channels: "2", bitrate: 128e3, samplerate: 48_000 };
  const keys = {
    keySystem: "org.w3.clearkey",
    initDataType: "cenc",
    video: { robustness: "", encryptionScheme: "cbcs" },
    audio: { robustness: "", encryptionScheme: "cbcs" },
  };
  await navigator.mediaCapabilities
    ?.decodingInfo({ type: "media-source", video, audio, keySystemConfiguration: keys } as MediaDecodingConfiguration)
    .catch(() => undefined);
}
