// Who is signed in. The token itself lies in an HttpOnly cookie that scripts never see.
import { computed, signal } from "@preact/signals";
import { api, listen } from "../api/client";
import type { LoginAnswer, Me, Profile } from "../api/types";
import { navigate, route } from "./router";
import { forget } from "./titles";
import { toast } from "./toast";

/** undefined: not asked yet; null: nobody. */
export const me = signal<Me | null | undefined>(undefined);
export const isAdmin = computed(() => me.value?.account.role === "admin");
/** Several people share an account: each picks a profile once for each visit. */
export const profileChosen = signal(sessionStorage.getItem("nearcast.profile") !== null);
let wanted = "";

export function welcome(answer: Me): void {
  me.value = { account: answer.account, profile: answer.profile };
  if (answer.account.profiles.length < 2) choose(answer.profile);
}

function choose(profile: Profile): void {
  sessionStorage.setItem("nearcast.profile", profile.id);
  profileChosen.value = true;
}

export async function whoAmI(): Promise<void> {
  try {
    welcome(await api<Me>("GET", "/api/v1/me"));
  } catch {
    // A 401 is heard by the listener below; anything else means that nobody can be told apart now.
    if (me.value === undefined) me.value = null;
  }
}

export async function login(question: { email: string; password: string } | { link: string }): Promise<void> {
  const answer = await api<LoginAnswer>("POST", "/api/v1/login", { body: question });
  forget();
  sessionStorage.removeItem("nearcast.profile");
  profileChosen.value = false;
  welcome(answer);
  const target = wanted || "/";
  wanted = "";
  navigate(target, { replace: true });
}

export async function pickProfile(profile: Profile): Promise<void> {
  if (me.value && profile.id !== me.value.profile.id) {
    const answer = await api<LoginAnswer>("POST", `/api/v1/profiles/${encodeURIComponent(profile.id)}/select`);
    forget();
    me.value = { account: answer.account, profile: answer.profile };
  }
  choose(profile);
}

export function switchProfile(): void {
  sessionStorage.removeItem("nearcast.profile");
  profileChosen.value = false;
}

export async function logout(): Promise<void> {
  await api("POST", "/api/v1/logout").catch(() => undefined);
  sessionStorage.removeItem("nearcast.profile");
  profileChosen.value = false;
  forget();
  me.value = null;
  navigate("/", { replace: true });
}

listen({
  unauthenticated: () => {
    if (me.value) toast("Your sign-in has ended. Please sign in again.", "warning");
    if (me.value !== null && !["link", "home"].includes(route.value.name)) wanted = location.hash.slice(1);
    me.value = null;
  },
  unreachable: () => toast("Nearcast cannot be reached just now. Trying again usually helps.", "warning"),
});
