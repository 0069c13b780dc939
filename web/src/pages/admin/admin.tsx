// The console: films in and out, edges, routes, people. For admins; the gateway checks that again with every question.
import { useEffect } from "preact/hooks";
import { route } from "../../state/router";
import "./admin.css";
import { AddFilm } from "./add";
import { Edges } from "./edges";
import { Films } from "./films";
import { People } from "./people";
import { Routes } from "./routes";

const TABS = [
  { id: "add", label: "Add a film", page: AddFilm },
  { id: "films", label: "Films", page: Films },
  { id: "edges", label: "Edges", page: Edges },
  { id: "routes", label: "Routes", page: Routes },
  { id: "people", label: "People", page: People },
];

export function Admin() {
  const current = TABS.find((tab) => tab.id === route.value.argument) ?? TABS[0];
  useEffect(() => {
    document.title = `${current?.label ?? "Console"} · Nearcast`;
  }, [current]);
  if (!current) return null;
  return (
    <div class="page admin" data-testid="admin-page">
      <h1>Console</h1>
      <nav class="tabs" aria-label="Console">
        {TABS.map((tab) => (
          <a key={tab.id} href={`#/admin/${tab.id}`} aria-current={tab === current ? "page" : undefined} data-testid={`admin-tab-${tab.id}`}>
            {tab.label}
          </a>
        ))}
      </nav>
      <current.page />
    </div>
  );
}
