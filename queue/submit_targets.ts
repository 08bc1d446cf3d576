import { hasTarget, type TargetsBy } from "../training/targets_phase.ts";
import { QueueError } from "./errors.ts";
import { queuedModel } from "./queued_model.ts";
import { QUEUE_FORMAT } from "./run.ts";
import type { Store } from "./store/store.ts";
import { type Submission, submit } from "./submit.ts";
import { TARGET_MADE, type TargetMade, type TargetWork } from "./target_work.ts";

/** What all targets of a training are submitted with. */
export interface TargetsSubmission
  extends Pick<Submission<TargetMade>, "address" | "patience" | "now" | "watch"> {
  readonly store: Store;
  /** Of kvjudge. */
  readonly version: string;
}

/**
 * Makes targets through a queue; their files come through the store into the folder of targets.
 *
 * @throws {QueueError} As `submit` does.
 */
export function targetsThroughQueue(submission: TargetsSubmission): TargetsBy {
  const { store, version, ...rest } = submission;
  return async (plan, { source, signal, onProgress }) => {
    const { prompts, keys, missing, keepPast, model: { fingerprint, precision }, store: files } =
      plan;
    const found = keys.length - missing.length;
    onProgress?.(found, keys.length, found);
    const named = { ...source, fingerprint: () => Promise.resolve(fingerprint) };
    const model = await queuedModel({ ...named, precision }, {
      ...{ device: "cpu", allowControlTokens: false, store },
    });
    const jobs = missing.map((place) => ({
      name: keys[place] ?? "",
      input: () => {
        const { ids, response } = prompts[place] ??
          { ids: [], response: { kind: "self", tokens: 1 } };
        return JSON.stringify({ key: keys[place] ?? "", ids, response } satisfies TargetWork);
      },
    }));
    let made = 0;
    await submit({
      ...{ ...rest, store, signal, jobs },
      run: {
        ...{ format: QUEUE_FORMAT, kind: "targets", version, title: "targets" },
        ...{ model, store: true, keepPast },
      },
      result: TARGET_MADE,
      async take(index, { key, target, past }) {
        const place = missing[index] ?? -1;
        if (key !== keys[place]) {
          throw new QueueError(
            `Cannot use the result of target ${
              keys[place]
            }: it is that of ${key}; empty the run with ` +
              "kvjudge queue drain",
          );
        }
        // Equal prompts share a target: the first has brought it.
        if (!hasTarget(plan, place)) {
          const paths = files.paths(key);
          if (past) await store.fetch(past, paths.past);
          await store.fetch(target, paths.target);
          if (!hasTarget(plan, place)) {
            throw new QueueError(
              `Cannot use target ${key}: a worker made one of another shape; install the same version ` +
                "on all machines",
            );
          }
        }
        onProgress?.(found + ++made, keys.length, found);
        if (past) await store.remove(past);
        await store.remove(target);
      },
    });
  };
}
