// Work that is done once, and that all who need it wait for.

/** Work that failed is forgotten: who asks next has it done anew. */
export class Once {
  private work: Promise<void> | null = null;

  constructor(private readonly make: () => Promise<void>) {}

  done(): Promise<void> {
    return this.work ?? this.begin(this.make());
  }

  /** This is the work from now on, whatever was done before. */
  begin(work: Promise<void>): Promise<void> {
    this.work = work;
    work.catch(() => {
      if (this.work === work) this.work = null;
    });
    return work;
  }
}
