// The corner where short notes appear; read out politely.
import { toasts } from "../state/toast";

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((each) => (
        <div class={`toast ${each.tone}`} key={each.id} data-testid="toast">
          {each.text}
        </div>
      ))}
    </div>
  );
}
