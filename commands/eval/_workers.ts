import { ValidationError } from "@cliffy/command";
import { bytesPerToken } from "../../runtime/cache/bytes_per_token.ts";
import type { Model } from "../../runtime/model.ts";
import { type ModelFlags, openModel } from "../_model_command.ts";
import { note } from "../_output.ts";
import type { Progress } from "../_progress.ts";

/** Models that measure samples at the same time. Owns those that it has loaded. */
export interface Workers extends AsyncDisposable {
  readonly models: readonly Model[];
}

interface WorkerFlags extends ModelFlags {
  readonly workers: string;
}

/** Tokens of a prompt that the memory estimate assumes: its cache is held twice. */
const PROMPT_TOKENS = 4096;

/** Refuses what is neither a number of workers nor `auto`. */
export function checkWorkers({ workers }: Pick<WorkerFlags, "workers">): void {
  if (workers === "auto" || (Number.isSafeInteger(Number(workers)) && Number(workers) >= 1)) return;
  throw new ValidationError(
    `Option "--workers" must be a number of at least 1 or auto, got '${workers}'.`,
  );
}

/** Loads a model for each worker, where there are several; threads are divided among them. */
export async function openWorkers(
  flags: WorkerFlags,
  first: Model,
  progress: Progress,
  signal: AbortSignal,
): Promise<Workers> {
  const count = flags.workers === "auto" ? await bestCount(first) : Number(flags.workers);
  if (count === 1) return { models: [first], [Symbol.asyncDispose]: () => Promise.resolve() };
  const threads = Math.max(1, Math.floor((flags.threads ?? navigator.hardwareConcurrency) / count));
  await using opened = new AsyncDisposableStack();
  const models: Model[] = [];
  for (let worker = 0; worker < count; worker++) {
    models.push(opened.use(await openModel({ ...flags, threads }, progress, signal)));
  }
  note(`${count} samples at a time, ${threads} ${threads === 1 ? "thread" : "threads"} each`);
  const owned = opened.move();
  return { models, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function bestCount({ config }: Model): Promise<number> {
  const { workersFor } = await import("../../evaluation/run/workers.ts");
  return workersFor({
    processors: navigator.hardwareConcurrency,
    free: Deno.systemMemoryInfo().available,
    // What this process holds now is the program and one model.
    perWorker: Deno.memoryUsage().rss + 2 * PROMPT_TOKENS * bytesPerToken(config),
  });
}
