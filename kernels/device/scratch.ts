import type { DeviceTensor } from "./device.ts";

/** Tensors that a step writes into and nobody keeps. Owns them. */
export interface Scratch extends Disposable {
  /** A set for a step of so many tokens. The caller gives it back. */
  take(tokens: number): Promise<readonly DeviceTensor[]>;
  giveBack(set: readonly DeviceTensor[]): void;
}

/**
 * Keeps the last set that was given back, because steps of one size follow one another, and making a
 * tensor takes a run of its own. Steps of several sessions may overlap: each has its own set.
 *
 * @param count Tensors of a set.
 * @param make Makes one for so many tokens: its second size.
 */
export function createScratch(
  count: number,
  make: (tokens: number) => Promise<DeviceTensor>,
): Scratch {
  let idle: readonly DeviceTensor[] = [];
  let disposed = false;
  const free = (set: readonly DeviceTensor[]) => set.forEach((one) => one[Symbol.dispose]());
  return {
    async take(tokens) {
      const set = idle;
      idle = [];
      if (set.length > 0 && set[0]?.dims[1] === tokens) return set;
      free(set);
      using made = new DisposableStack();
      const fresh: DeviceTensor[] = [];
      while (fresh.length < count) fresh.push(made.use(await make(tokens)));
      made.move();
      return fresh;
    },
    giveBack(set) {
      if (set.length === 0) return;
      free(disposed ? set : idle);
      idle = disposed ? [] : set;
    },
    [Symbol.dispose]() {
      disposed = true;
      free(idle);
      idle = [];
    },
  };
}
