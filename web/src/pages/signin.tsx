// Sign in with email and password, or by a one-time link, which explains itself when it no longer works.
import { useEffect, useRef, useState } from "preact/hooks";
import { problemOf } from "../api/client";
import type { Problem } from "../api/types";
import { navigate } from "../state/router";
import { login, whoAmI } from "../state/session";
import { loadHome } from "../state/titles";
import { Logo } from "../ui/icons";
import { ProblemPanel, sentence } from "../ui/problem";

export function SignIn({ link }: { link: string }) {
  return (
    <main class="signin" id="main" tabIndex={-1}>
      <div class="signin-art" aria-hidden="true">
        <svg viewBox="0 0 100 100" preserveAspectRatio="xMidYMax slice">
          {[12, 21, 30, 39, 48, 57, 66].map((radius) => (
            <path key={radius} d={`M${50 - radius} 101V${72 - radius * 0.2}a${radius} ${radius} 0 0 1 ${2 * radius} 0V101`} />
          ))}
        </svg>
      </div>
      <header class="signin-head">
        <Logo size={34} />
      </header>
      {link ? <ByLink link={link} /> : <ByPassword />}
    </main>
  );
}

function ByLink({ link }: { link: string }) {
  const [problem, setProblem] = useState<Problem | null>(null);
  const used = useRef(false);
  useEffect(() => {
    document.title = "Signing in · Nearcast";
    // A link works once: it must not be sent twice.
    if (used.current) return;
    used.current = true;
    login({ link }).then(
      () => navigate("/", { replace: true }),
      (error) => setProblem(problemOf(error)),
    );
  }, [link]);
  const instead = async (): Promise<void> => {
    navigate("/", { replace: true });
    await Promise.all([whoAmI(), loadHome()]);
  };
  if (!problem) {
    return (
      <div class="signin-card" role="status">
        <h1>Signing you in…</h1>
        <span class="bar" />
      </div>
    );
  }
  return (
    <div class="signin-card" data-testid="link-problem">
      <ProblemPanel problem={problem} title="This sign-in link does not work">
        <button class="button primary" onClick={() => void instead()}>Sign in another way</button>
      </ProblemPanel>
      <p class="fine">A link works once and for a limited time. Whoever runs this Nearcast can make a new one.</p>
    </div>
  );
}

function ByPassword() {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    document.title = "Sign in · Nearcast";
  }, []);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await login({ email: email.trim(), password });
      void loadHome();
    } catch (error) {
      setProblem(problemOf(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="signin-card" onSubmit={(event) => void submit(event)} data-testid="signin">
      <h1>Sign in</h1>
      <p class="signin-lead">Films, from just around the corner.</p>
      <label class="field">
        <span>Email</span>
        <input
          type="email"
          name="email"
          autocomplete="username"
          required
          autofocus
          value={email}
          data-testid="signin-email"
          onInput={(event) => setEmail(event.currentTarget.value)}
        />
      </label>
      <label class="field">
        <span>Password</span>
        <input
          type="password"
          name="password"
          autocomplete="current-password"
          required
          value={password}
          data-testid="signin-password"
          onInput={(event) => setPassword(event.currentTarget.value)}
        />
      </label>
      {problem && (
        <p class="field-problem" role="alert" data-testid="signin-error">
          {sentence(problem.message)} {sentence(problem.hint)} <small>{problem.code}</small>
        </p>
      )}
      <button class="button primary large wide" type="submit" disabled={busy} data-testid="signin-submit">
        {busy ? "Signing in…" : "Sign in"}
      </button>
      <p class="fine">Have a sign-in link? Open it in this browser, and you are in.</p>
    </form>
  );
}
