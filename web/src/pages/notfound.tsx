// An address that leads nowhere.

export function NotFound() {
  return (
    <div class="page narrow empty" data-testid="not-found">
      <p class="display">404</p>
      <h1>There is nothing at this address</h1>
      <div class="actions">
        <a class="button primary" href="#/">Home</a>
      </div>
    </div>
  );
}
