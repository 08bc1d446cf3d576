import type { HostEngine } from "../runtime/engine/host/host_engine.ts";
import { loadModel, type Model } from "../runtime/model.ts";
import { makeTarget } from "../training/make_target.ts";
import { openTargetStore } from "../training/target_store.ts";
import { targetKey } from "../training/target.ts";
import { QueueError } from "./errors.ts";
import { unpackInput } from "./job.ts";
import { modelPool } from "./model_pool.ts";
import type { Preparation, PreparedRun } from "./prepared_run.ts";
import type { QueuedRun } from "./run.ts";
import { TARGET_WORK, type TargetMade } from "./target_work.ts";

/** A run of targets. */
export type TargetsRun = Extract<QueuedRun, { readonly kind: "targets" }>;

/**
 * Loads the models of a run that makes targets.
 *
 * @throws {QueueError} If there is no store to put them into.
 */
export async function prepareTargets(run: TargetsRun, given: Preparation): Promise<PreparedRun> {
  const { described, runName, store } = given;
  if (!store) {
    throw new QueueError(
      "Cannot take the run: targets are too large for a queue; start the worker with the submitter's " +
        "'store'",
      { options: ["store"] },
    );
  }
  const { model: { precision, fingerprint }, keepPast } = run;
  const { home, threads, signal } = given;
  const pool = await modelPool<Model<HostEngine>>(
    given,
    () => loadModel(described.path, { home, threads, signal, precision }),
  );
  return {
    async work(job, signal) {
      const { key, ids, response } = await unpackInput(
        { run: runName, ...job },
        TARGET_WORK,
        store,
      );
      if (targetKey({ fingerprint, precision }, ids, response) !== key) {
        throw new QueueError(
          `Cannot make target ${key}: its prompt is not what its name says; submit the run again`,
        );
      }
      return await pool.use(async ({ engine, tokenizer }): Promise<TargetMade> => {
        const made = await makeTarget({ engine, tokenizer }, ids, response, { signal });
        const folder = await Deno.makeTempDir({ prefix: "kvjudge-target-" });
        try {
          const files = openTargetStore(folder);
          await files.save(key, made.target, keepPast ? made.past : undefined);
          const { target, past } = files.paths(key);
          return {
            key,
            // The target comes last: where it is, the keys and values are as well.
            ...(keepPast ? { past: await store.putFile(past) } : {}),
            target: await store.putFile(target),
          };
        } finally {
          await Deno.remove(folder, { recursive: true });
        }
      });
    },
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}
