// Accounts: who there is, whether their subscription runs, and sign-in links for those who lost theirs.
import { useEffect, useState } from "preact/hooks";
import { api, problemOf } from "../../api/client";
import type { Account, Problem, Role } from "../../api/types";
import { toast } from "../../state/toast";
import { Link, Plus } from "../../ui/icons";
import { ProblemPanel } from "../../ui/problem";

interface Made {
  email: string;
  link: string;
}

export function People() {
  const [accounts, setAccounts] = useState<Account[] | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [made, setMade] = useState<Made | null>(null);
  const load = async (): Promise<void> => {
    try {
      setAccounts((await api<{ accounts: Account[] }>("GET", "/api/v1/accounts")).accounts);
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  useEffect(() => void load(), []);
  const attempt = async (what: Promise<unknown>): Promise<boolean> => {
    try {
      await what;
      await load();
      return true;
    } catch (error) {
      toast(problemOf(error).message, "warning");
      return false;
    }
  };
  const link = (email: string): void => void attempt(api<Made>("POST", "/api/v1/links", { body: { email } }).then(setMade));
  const update = (account: Account, change: object): void => void attempt(api("PATCH", `/api/v1/accounts/${account.id}`, { body: change }));
  if (problem) return <ProblemPanel problem={problem} title="The accounts did not load" />;
  return (
    <>
      <NewPerson onAdd={(body) => attempt(api("POST", "/api/v1/accounts", { body }).then(() => link(body.email)))} />
      {made && (
        <p class="panel made-link" data-testid="made-link">
          <span>A sign-in link for <strong>{made.email}</strong>. It works once.</span>
          <code>{made.link}</code>
        </p>
      )}
      {accounts === null ? (
        <div class="panel skeleton job-waiting" />
      ) : (
        <ul class="film-list">
          {accounts.map((account) => {
            const active = account.subscription === "active";
            return (
              <li class="film" key={account.id} data-testid="admin-account" data-email={account.email}>
                <div class="film-text">
                  <strong>{account.email}</strong>
                  <span class="fine">{account.role} · {account.profiles.map((profile) => profile.name).join(", ") || "no profile"}</span>
                </div>
                <span class="film-state"><span class={`dot ${active ? "good" : "bad"}`} />{active ? "Active" : "Lapsed"}</span>
                <span class="film-actions">
                  <button class="button small" onClick={() => update(account, { subscription: active ? "lapsed" : "active" })}>{active ? "Let it lapse" : "Renew"}</button>
                  <button class="icon-button" aria-label={`Sign-in link for ${account.email}`} title="Sign-in link" onClick={() => link(account.email)}><Link size={20} /></button>
                </span>
              </li>
            );
          })}
        </ul>
      )}
    </>
  );
}

function NewPerson({ onAdd }: { onAdd: (account: { email: string; role: Role }) => Promise<boolean> }) {
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (await onAdd({ email: email.trim(), role })) setEmail("");
  };
  return (
    <form class="inline-form" onSubmit={(event) => void submit(event)}>
      <input type="email" required placeholder="Email of someone new" aria-label="Email" value={email} onInput={(event) => setEmail(event.currentTarget.value)} />
      <select aria-label="Role" value={role} onChange={(event) => setRole(event.currentTarget.value as Role)}>
        <option value="viewer">Viewer</option>
        <option value="admin">Admin</option>
      </select>
      <button class="button" type="submit"><Plus size={18} /> Add</button>
    </form>
  );
}
