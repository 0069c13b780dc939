// Which page is shown. Pages that few viewers need, and the player with all it brings, come in bundles of their own.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Account } from "./pages/account";
import { Home } from "./pages/home";
import { MyList } from "./pages/mylist";
import { NotFound } from "./pages/notfound";
import { Profiles } from "./pages/profiles";
import { Search } from "./pages/search";
import { SignIn } from "./pages/signin";
import { TitlePage } from "./pages/title";
import { loadPlayerPage } from "./player/warm";
import { route } from "./state/router";
import { isAdmin, me, profileChosen } from "./state/session";
import { Header } from "./ui/header";
import { Logo } from "./ui/icons";
import { Toasts } from "./ui/toasts";

const loadAdmin = (): Promise<ComponentType> => import("./pages/admin/admin").then((module) => module.Admin);

export function App() {
  const { name, argument } = route.value;
  const immersed = name === "watch" && me.value && profileChosen.value;
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>Skip to content</a>
      {immersed ? <Lazy load={loadPlayerPage} key="watch" /> : <Page name={name} argument={argument} />}
      <Toasts />
    </>
  );
}

function Page({ name, argument }: { name: string; argument: string }) {
  if (name === "link") return <SignIn link={argument} key={argument} />;
  if (me.value === undefined) return <Splash />;
  if (me.value === null) return <SignIn link="" />;
  if (!profileChosen.value) return <Profiles />;
  return (
    <div class="shell">
      <Header />
      <main id="main" tabIndex={-1}>
        <Body name={name} argument={argument} />
      </main>
    </div>
  );
}

function Body({ name, argument }: { name: string; argument: string }) {
  switch (name) {
    case "home":
      return <Home />;
    case "title":
      return <TitlePage id={argument} key={argument} />;
    case "search":
      return <Search />;
    case "list":
      return <MyList />;
    case "account":
      return <Account />;
    case "admin":
      return isAdmin.value ? <Lazy load={loadAdmin} key="admin" /> : <NotFound />;
    default:
      return <NotFound />;
  }
}

function Lazy({ load }: { load: () => Promise<ComponentType> }) {
  const [Loaded, setLoaded] = useState<ComponentType | null>(null);
  useEffect(() => {
    void load().then((component) => setLoaded(() => component));
  }, [load]);
  return Loaded ? <Loaded /> : <Splash />;
}

function Splash() {
  return (
    <div class="splash" role="status" aria-label="Loading">
      <Logo />
    </div>
  );
}

function skip(event: Event): void {
  // The fragment is the router's; the skip link only moves the focus.
  event.preventDefault();
  document.getElementById("main")?.focus();
}
