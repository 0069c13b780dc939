// Short notes at the edge of the screen, which go by themselves. One and the same note is not shown twice at once.
import { signal } from "@preact/signals";

export interface Toast {
  id: number;
  text: string;
  tone: "plain" | "warning";
}

export const toasts = signal<Toast[]>([]);
let next = 1;

export function toast(text: string, tone: Toast["tone"] = "plain", stays_ms = 4500): void {
  if (toasts.value.some((each) => each.text === text)) return;
  const id = next++;
  toasts.value = [...toasts.value.slice(-2), { id, text, tone }];
  setTimeout(() => (toasts.value = toasts.value.filter((each) => each.id !== id)), stays_ms);
}
