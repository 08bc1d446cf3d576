import { bytesPerToken } from "../runtime/cache/bytes_per_token.ts";
import type { DescribedModel } from "../runtime/describe_model.ts";
import { QueueError } from "./errors.ts";
import { findModel } from "./find_model.ts";
import type { PreparedRun } from "./prepared_run.ts";
import type { ListedRun } from "./registry.ts";
import type { QueuedRun } from "./run.ts";
import type { WorkerOptions } from "./worker_options.ts";

/**
 * Looks whether a worker may and can work on a run, and loads what it needs.
 *
 * @throws {QueueError} If it was submitted by another version, needs what is not permitted here, or does
 * not fit.
 * @throws {StorageError} If the store does not have its model.
 */
export async function prepareRun(
  { name: runName, run, problem }: ListedRun,
  options: WorkerOptions,
): Promise<PreparedRun> {
  if (!run) throw new QueueError(`Cannot take the run: ${problem}; take the same version`);
  checkVersion(run, options.version);
  if (run.store && !options.store) {
    throw new QueueError(
      "Cannot take the run: its files lie in a store, and this worker has none; start it with the " +
        "submitter's 'store'",
      { options: ["store"] },
    );
  }
  if (run.kind === "samples") {
    const { checkPolicies, prepareSamples } = await import("./prepare_samples.ts");
    await checkPolicies(run, options);
    const described = await findModel(run.model, options);
    checkMemory(described, options);
    return await prepareSamples(run, { ...options, runName, described });
  }
  const { prepareTargets } = await import("./prepare_targets.ts");
  const described = await findModel(run.model, options);
  checkMemory(described, options);
  return await prepareTargets(run, { ...options, runName, described });
}

function checkVersion({ version }: QueuedRun, own: string): void {
  if (version === own) return;
  throw new QueueError(
    `Cannot take the run: it was submitted by kvjudge ${version}, this worker is kvjudge ${own}; ` +
      "install the same version on all machines",
  );
}

/** Tokens of a prompt that the estimate assumes: its cache is held twice. */
const PROMPT_TOKENS = 4096;

const BYTES: Readonly<Record<DescribedModel["precision"], number>> = {
  fp32: 4,
  int8: 1,
  int4: 0.5,
};

function checkMemory(
  { tensors, precision, config, name }: DescribedModel,
  { concurrency, modelMemory }: WorkerOptions,
): void {
  const numbers = [...tensors.values()]
    .reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  const each = Math.ceil(numbers * BYTES[precision] + 2 * PROMPT_TOKENS * bytesPerToken(config));
  if (concurrency * each <= modelMemory) return;
  throw new QueueError(
    `Cannot take the run: ${concurrency} of ${name} in ${precision} take ${
      gigabytes(concurrency * each)
    } GB with their caches, this worker may use ${
      gigabytes(modelMemory)
    } GB; raise 'modelMemory' or ` +
      "lower 'concurrency'",
    { options: ["modelMemory", "concurrency"] },
  );
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toPrecision(2);
}
