import type { WorkerOptions } from "./worker_options.ts";

/** Models, one for each job at a time. Owns them. */
export interface ModelPool<M> extends AsyncDisposable {
  /** Works with a model that nobody else uses meanwhile. */
  use<T>(work: (model: M) => Promise<T>): Promise<T>;
}

/** Loads as many models as there are jobs at a time. */
export async function modelPool<M extends AsyncDisposable>(
  { concurrency }: Pick<WorkerOptions, "concurrency">,
  load: () => Promise<M>,
): Promise<ModelPool<M>> {
  await using loading = new AsyncDisposableStack();
  const free: M[] = [];
  for (let at = 0; at < concurrency; at++) free.push(loading.use(await load()));
  const held = loading.move();
  return {
    async use(work) {
      const model = free.pop();
      if (model === undefined) throw new RangeError("More jobs than models");
      try {
        return await work(model);
      } finally {
        free.push(model);
      }
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}
