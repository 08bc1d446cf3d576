/**
 * Marks whose entries sliding layers must not lose. A hold belongs to the caches that have forked from
 * one another, and all of them forget it at once.
 *
 * @module
 */

/** Something that puts entries aside for holds. */
export interface Holder {
  /** Forgets a hold, and frees what was put aside for it. */
  forget(hold: Hold): void;
}

/** One mark that is held. */
export interface Hold extends Disposable {
  /** All that put entries aside for it. */
  readonly holders: Set<Holder>;
}

/** Makes a hold that nobody knows of yet. */
export function createHold(): Hold {
  const holders = new Set<Holder>();
  const hold: Hold = {
    holders,
    [Symbol.dispose]() {
      for (const holder of [...holders]) holder.forget(hold);
      holders.clear();
    },
  };
  return hold;
}
