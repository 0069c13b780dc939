// The bar at the top: where one is, where one can go, who is watching. On a phone the places move to the bottom edge.
import { useEffect, useRef, useState } from "preact/hooks";
import { navigate, route } from "../state/router";
import { isAdmin, logout, me, switchProfile } from "../state/session";
import { Avatar } from "./avatar";
import { Check, Down, Home, Logo, Search, Upload } from "./icons";

const PLACES = [
  { name: "home", path: "/", label: "Home", icon: Home, admin: false },
  { name: "search", path: "/search", label: "Search", icon: Search, admin: false },
  { name: "list", path: "/list", label: "My List", icon: Check, admin: false },
  { name: "admin", path: "/admin", label: "Console", icon: Upload, admin: true },
];

export function Header() {
  const [solid, setSolid] = useState(false);
  useEffect(() => {
    const look = (): void => setSolid(scrollY > 24);
    look();
    addEventListener("scroll", look, { passive: true });
    return () => removeEventListener("scroll", look);
  }, []);
  const current = route.value.name;
  return (
    <header class={solid ? "header solid" : "header"}>
      <a class="header-logo" href="#/" aria-label="Nearcast, home">
        <Logo />
      </a>
      <nav class="places" aria-label="Main">
        {PLACES.filter((place) => !place.admin || isAdmin.value).map((place) => (
          <a href={`#${place.path}`} key={place.name} aria-current={current === place.name ? "page" : undefined} data-testid={`nav-${place.name}`}>
            <place.icon size={20} />
            <span>{place.label}</span>
          </a>
        ))}
      </nav>
      <Viewer />
    </header>
  );
}

function Viewer() {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    const close = (event: Event): void => {
      if (event instanceof KeyboardEvent ? event.key === "Escape" : !box.current?.contains(event.target as Node)) setOpen(false);
    };
    addEventListener("pointerdown", close);
    addEventListener("keydown", close);
    return () => {
      removeEventListener("pointerdown", close);
      removeEventListener("keydown", close);
    };
  }, [open]);
  const place = route.value;
  useEffect(() => setOpen(false), [place]);
  const viewer = me.value;
  if (!viewer) return null;
  const go = (path: string) => () => {
    setOpen(false);
    navigate(path);
  };
  return (
    <div class="viewer" ref={box}>
      <button class="viewer-button" aria-expanded={open} aria-haspopup="menu" aria-label={`Profile ${viewer.profile.name}`} data-testid="viewer-menu" onClick={() => setOpen(!open)}>
        <Avatar name={viewer.profile.avatar} size={34} />
        <Down size={16} />
      </button>
      {open && (
        <div class="menu viewer-menu" role="menu">
          <p class="menu-head">
            {viewer.profile.name}
            <small>{viewer.account.email}</small>
          </p>
          {viewer.account.profiles.length > 1 && <button role="menuitem" onClick={switchProfile}>Switch profile</button>}
          <button role="menuitem" onClick={go("/account")} data-testid="nav-account">Account</button>
          <button role="menuitem" onClick={() => void logout()} data-testid="signout">Sign out</button>
        </div>
      )}
    </div>
  );
}
