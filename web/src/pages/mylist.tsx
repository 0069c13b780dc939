// What the profile has put aside to watch.
import { useEffect, useState } from "preact/hooks";
import { api, problemOf } from "../api/client";
import type { Problem, Title } from "../api/types";
import { remember } from "../state/titles";
import { CardSkeleton } from "../ui/card";
import { ProblemPanel } from "../ui/problem";
import { Grid } from "./search";

export function MyList() {
  const [titles, setTitles] = useState<Title[] | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    document.title = "My List · Nearcast";
    api<{ titles: Title[] }>("GET", "/api/v1/my-list").then(
      (answer) => {
        remember(answer.titles);
        setTitles(answer.titles);
      },
      (error) => setProblem(problemOf(error)),
    );
  }, []);
  return (
    <div class="page">
      <h1>My List</h1>
      {problem ? (
        <ProblemPanel problem={problem} title="Your list did not load" />
      ) : titles === null ? (
        <div class="grid" role="status" aria-label="Loading">
          {[1, 2, 3, 4].map((each) => (
            <CardSkeleton key={each} />
          ))}
        </div>
      ) : titles.length === 0 ? (
        <p class="nothing">Nothing here yet. The plus on a title's page puts it on your list.</p>
      ) : (
        <Grid label="My List" titles={titles} />
      )}
    </div>
  );
}
