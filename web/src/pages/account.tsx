// The account: its subscription, its profiles, the way out.
import { useEffect, useState } from "preact/hooks";
import { api, problemOf } from "../api/client";
import type { Account as AccountOfViewer, Profile } from "../api/types";
import { logout, me } from "../state/session";
import { toast } from "../state/toast";
import { Avatar, AVATARS } from "../ui/avatar";
import { language } from "../ui/format";
import { Plus, Trash } from "../ui/icons";

const LANGUAGES = ["", "en", "de", "es", "fr", "hi", "it", "ja", "ko", "nl", "pl", "pt", "sv", "tr", "zh"];

type Change = { profile_id?: string; remove?: boolean } & Partial<Omit<Profile, "id">>;

async function change(what: Change): Promise<void> {
  try {
    const account = await api<AccountOfViewer>("POST", "/api/v1/profiles", { body: what });
    const viewer = me.value;
    if (!viewer) return;
    const profile = account.profiles.find((each) => each.id === viewer.profile.id) ?? account.profiles[0] ?? viewer.profile;
    me.value = { account, profile };
  } catch (error) {
    toast(problemOf(error).message, "warning");
  }
}

export function Account() {
  const [name, setName] = useState("");
  useEffect(() => {
    document.title = "Account · Nearcast";
  }, []);
  const account = me.value?.account;
  if (!account) return null;
  const active = account.subscription === "active";
  const add = (event: Event): void => {
    event.preventDefault();
    const avatar = AVATARS[account.profiles.length % AVATARS.length] ?? "ember";
    if (name.trim()) void change({ name: name.trim(), avatar }).then(() => setName(""));
  };
  return (
    <div class="page narrow account" data-testid="account-page">
      <h1>Account</h1>
      <section class="panel">
        <dl class="details">
          <div>
            <dt>Email</dt>
            <dd>{account.email}</dd>
          </div>
          <div>
            <dt>Subscription</dt>
            <dd data-testid="subscription-state">
              <span class={active ? "dot good" : "dot bad"} /> {active ? "Active" : "Lapsed: films cannot be played until it is renewed"}
            </dd>
          </div>
          <div>
            <dt>Member since</dt>
            <dd>{new Date(account.created_at * 1000).toLocaleDateString("en", { year: "numeric", month: "long", day: "numeric" })}</dd>
          </div>
        </dl>
      </section>
      <h2>Profiles</h2>
      <ul class="profile-list">
        {account.profiles.map((profile) => (
          <ProfileLine key={profile.id} profile={profile} only={account.profiles.length === 1} />
        ))}
      </ul>
      <form class="inline-form" onSubmit={add}>
        <input placeholder="Name of a new profile" aria-label="Name of a new profile" value={name} maxLength={30} onInput={(event) => setName(event.currentTarget.value)} />
        <button class="button" type="submit" disabled={!name.trim()}>
          <Plus size={18} /> Add profile
        </button>
      </form>
      <div class="actions">
        <button class="button quiet" onClick={() => void logout()}>Sign out</button>
      </div>
    </div>
  );
}

function ProfileLine({ profile, only }: { profile: Profile; only: boolean }) {
  const turn = (): void => {
    const next = AVATARS[(AVATARS.indexOf(profile.avatar as (typeof AVATARS)[number]) + 1) % AVATARS.length];
    void change({ profile_id: profile.id, avatar: next ?? "ember" });
  };
  return (
    <li class="profile-line panel">
      <button class="plain" aria-label={`Change the picture of ${profile.name}`} title="Another picture" onClick={turn}>
        <Avatar name={profile.avatar} size={56} />
      </button>
      <input
        class="profile-name"
        aria-label="Name"
        value={profile.name}
        maxLength={30}
        onChange={(event) => event.currentTarget.value.trim() && void change({ profile_id: profile.id, name: event.currentTarget.value.trim() })}
      />
      <Choice label="Audio" value={profile.audio_language} onPick={(audio_language) => void change({ profile_id: profile.id, audio_language })} />
      <Choice label="Subtitles" value={profile.text_language} onPick={(text_language) => void change({ profile_id: profile.id, text_language })} />
      {!only && (
        <button class="icon-button" aria-label={`Remove ${profile.name}`} onClick={() => confirm(`Remove the profile ${profile.name}?`) && void change({ profile_id: profile.id, remove: true })}>
          <Trash size={20} />
        </button>
      )}
    </li>
  );
}

function Choice({ label, value, onPick }: { label: string; value: string; onPick: (tag: string) => void }) {
  const known = LANGUAGES.includes(value) ? LANGUAGES : [...LANGUAGES, value];
  return (
    <label class="choice">
      <span>{label}</span>
      <select value={value} onChange={(event) => onPick(event.currentTarget.value)}>
        {known.map((tag) => (
          <option key={tag} value={tag}>{tag ? language(tag) : label === "Audio" ? "Original" : "Off"}</option>
        ))}
      </select>
    </label>
  );
}
