// A failure as people should meet it: what happened, what to do, and the code and request id for whoever helps them.
import type { ComponentChildren } from "preact";
import type { Problem } from "../api/types";

interface Properties {
  problem: Problem;
  title?: string;
  testid?: string;
  children?: ComponentChildren;
}

export function ProblemPanel({ problem, title, testid = "problem", children }: Properties) {
  return (
    <div class="problem" role="alert" data-testid={testid}>
      {title && <h2>{title}</h2>}
      <p class="problem-cause" data-testid="error-message"><Prose text={problem.message} /></p>
      {problem.hint && <p class="problem-hint" data-testid="error-hint"><Prose text={problem.hint} /></p>}
      {children && <div class="actions">{children}</div>}
      <dl class="problem-ids">
        <div>
          <dt>Code</dt>
          <dd data-testid="error-code">{problem.code}</dd>
        </div>
        {problem.request_id && (
          <div>
            <dt>Request</dt>
            <dd data-testid="request-id">{problem.request_id}</dd>
          </div>
        )}
      </dl>
    </div>
  );
}

/** A message with its `commands` set apart. */
function Prose({ text }: { text: string }) {
  return <>{sentence(text).split("`").map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part))}</>;
}

/** The house's messages have no capital and no full stop; on a page they get both. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  if (!trimmed) return "";
  const closed = /[.!?…]$/.test(trimmed) ? trimmed : `${trimmed}.`;
  return closed.charAt(0).toUpperCase() + closed.slice(1);
}
