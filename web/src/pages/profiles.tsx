// Who is watching? Shown once for each visit when several people share the account.
import { useEffect, useState } from "preact/hooks";
import { problemOf } from "../api/client";
import { loadHome } from "../state/titles";
import { me, pickProfile } from "../state/session";
import { toast } from "../state/toast";
import { Avatar } from "../ui/avatar";
import { Logo } from "../ui/icons";
import type { Profile } from "../api/types";

export function Profiles() {
  const [busy, setBusy] = useState("");
  useEffect(() => {
    document.title = "Who is watching? · Nearcast";
  }, []);
  const pick = async (profile: Profile): Promise<void> => {
    setBusy(profile.id);
    try {
      await pickProfile(profile);
      await loadHome();
    } catch (error) {
      toast(problemOf(error).message, "warning");
    } finally {
      setBusy("");
    }
  };
  return (
    <main class="profiles" id="main" tabIndex={-1}>
      <Logo size={34} />
      <h1>Who is watching?</h1>
      <ul>
        {me.value?.account.profiles.map((profile) => (
          <li key={profile.id}>
            <button class="profile-card" data-testid="profile-card" data-profile-id={profile.id} disabled={busy !== ""} onClick={() => void pick(profile)}>
              <Avatar name={profile.avatar} size={128} />
              <span>{profile.name}</span>
            </button>
          </li>
        ))}
      </ul>
    </main>
  );
}
