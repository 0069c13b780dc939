// Search as one types. The question is part of the address, so that going back finds it again.
import { useEffect, useRef, useState } from "preact/hooks";
import { problemOf } from "../api/client";
import type { Problem, Title } from "../api/types";
import { navigate, route } from "../state/router";
import { knownTitle, loadHome, rows, searchTitles } from "../state/titles";
import { Card, CardSkeleton } from "../ui/card";
import { Close, Search as Lens } from "../ui/icons";
import { ProblemPanel } from "../ui/problem";

const PAUSE_MS = 180;

export function Search() {
  const [text, setText] = useState(route.value.query.get("q") ?? "");
  const [found, setFound] = useState<Title[] | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const question = text.trim();

  useEffect(() => {
    document.title = "Search · Nearcast";
    input.current?.focus();
    if (!rows.value) void loadHome();
  }, []);
  useEffect(() => {
    if (!question) {
      setFound(null);
      setProblem(null);
      return;
    }
    const stop = new AbortController();
    const timer = setTimeout(() => {
      navigate(`/search?${new URLSearchParams({ q: question })}`, { replace: true });
      searchTitles(question, stop.signal).then(
        (titles) => {
          setFound(titles);
          setProblem(null);
        },
        (error) => !stop.signal.aborted && setProblem(problemOf(error)),
      );
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [question]);

  return (
    <div class="page search">
      <h1 class="visually-hidden">Search</h1>
      <label class="search-field">
        <Lens />
        <input
          ref={input}
          type="search"
          value={text}
          placeholder="Titles, genres, years"
          aria-label="Search titles"
          data-testid="search-input"
          autocomplete="off"
          spellcheck={false}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        {text && (
          <button
            class="icon-button"
            aria-label="Clear search"
            onClick={() => {
              setText("");
              navigate("/search", { replace: true });
              input.current?.focus();
            }}
          >
            <Close size={20} />
          </button>
        )}
      </label>
      {problem ? <ProblemPanel problem={problem} title="The search did not work" /> : <Results question={question} found={found} />}
    </div>
  );
}

function Results({ question, found }: { question: string; found: Title[] | null }) {
  if (!question) {
    const all = [...new Map((rows.value ?? []).flatMap((row) => row.titles).map((title) => [title.id, title])).values()];
    return <Grid label="All titles" titles={all} />;
  }
  if (!found) {
    return (
      <div class="grid" role="status" aria-label="Searching">
        {[1, 2, 3, 4].map((each) => (
          <CardSkeleton key={each} />
        ))}
      </div>
    );
  }
  if (found.length === 0) {
    return (
      <p class="nothing" role="status" data-testid="search-nothing">
        Nothing matches “{question}”. Try a shorter word, a genre or a year.
      </p>
    );
  }
  return <Grid label={`Results for ${question}`} titles={found} />;
}

export function Grid({ label, titles }: { label: string; titles: readonly Title[] }) {
  return (
    <ul class="grid" aria-label={label} data-testid="grid">
      {titles.map((title) => (
        <li key={title.id}>
          <Card title={knownTitle(title.id) ?? title} />
        </li>
      ))}
    </ul>
  );
}
