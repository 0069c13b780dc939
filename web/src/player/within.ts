const STEP_MS = 250;

/** The work, or a failure once it has taken too long: for work that may never tell that it failed. Time passes only while `counts`. */
export function within<T>(limit_ms: number, work: Promise<T>, counts: () => boolean): Promise<T> {
  return new Promise((done, fail) => {
    let taken_ms = 0;
    const timer = setInterval(() => {
      if (counts()) taken_ms += STEP_MS;
      if (taken_ms < limit_ms) return;
      clearInterval(timer);
      fail(new Error(`not done within ${limit_ms} ms`));
    }, STEP_MS);
    work.then(done, fail).finally(() => clearInterval(timer));
  });
}
