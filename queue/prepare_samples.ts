import { fileURLToPath } from "node:url";
import type { SampleMeasurement } from "../evaluation/run/measurement.ts";
import { differences } from "../evaluation/run/differences.ts";
import { measureWork } from "../evaluation/run/measure_work.ts";
import { SAMPLE_WORK } from "../evaluation/run/sample_work.ts";
import type { NamedPolicy } from "../evaluation/policy_list.ts";
import { loadPolicy } from "../plugins/load_policy.ts";
import { placeMatcher, policyReach } from "../plugins/places.ts";
import { parseBudget } from "../runtime/evict/budget.ts";
import { loadModel, type Model } from "../runtime/model.ts";
import { digestOf } from "./digest.ts";
import { QueueError } from "./errors.ts";
import { unpackInput } from "./job.ts";
import { machineOf } from "./machine.ts";
import { modelPool } from "./model_pool.ts";
import type { Preparation, PreparedRun } from "./prepared_run.ts";
import type { PinnedPlace, QueuedRun } from "./run.ts";
import type { WorkerOptions } from "./worker_options.ts";

/** A run of samples. */
export type SamplesRun = Extract<QueuedRun, { readonly kind: "samples" }>;

/** Policies within policies; nobody needs so many. */
const DEEPEST = 8;

/**
 * Lists the files that a run's policies name, with what they hold now.
 *
 * @throws {QueueError} If one cannot be read.
 */
export async function pinnedPlaces(labels: readonly string[]): Promise<readonly PinnedPlace[]> {
  const hrefs = new Set(
    labels.flatMap((label) => policyReach(label).places.map(({ href }) => href)),
  );
  return await Promise.all(
    [...hrefs].map(async (href) => ({ href, sha256: digestOf(await readPlace(href)) })),
  );
}

async function readPlace(href: string): Promise<Uint8Array> {
  const failed = (reason: string) =>
    new QueueError(
      `Cannot read ${href || "a file"}, which a policy names: ${reason}; check its place`,
    );
  try {
    const url = new URL(href);
    if (url.protocol === "file:") return await Deno.readFile(fileURLToPath(url));
    const response = await fetch(url);
    if (response.ok) return await response.bytes();
    await response.body?.cancel();
    throw new Error(`its server answers ${response.status}`);
  } catch (error) {
    throw failed(error instanceof Error ? error.message : String(error));
  }
}

/**
 * Looks whether a worker's operator permits all that the policies of a run name, and whether it is the
 * same here.
 *
 * @throws {QueueError} If not.
 */
export async function checkPolicies(
  { policies, places }: SamplesRun,
  { allowPolicies }: Pick<WorkerOptions, "allowPolicies">,
): Promise<void> {
  const matches = placeMatcher(allowPolicies);
  for (const { label } of policies) {
    const reach = policyReach(label);
    if (reach.depth > DEEPEST) {
      throw new QueueError(
        `Cannot take the run: ${label} wraps more than ${DEEPEST} policies; nest fewer`,
      );
    }
    for (const { href, name } of reach.places) {
      if (!matches(href)) {
        throw new QueueError(
          `Cannot take the run: it names '${name}' (${href}), which this worker's operator does not ` +
            "permit; start the worker with 'allowPolicy'",
          { options: ["allowPolicy"] },
        );
      }
      const due = places.find((place) => place.href === href)?.sha256;
      if (digestOf(await readPlace(href)) === due) continue;
      throw new QueueError(
        `Cannot take the run: ${href} holds other data here than at the submitter's; copy the same ` +
          "file to all machines",
      );
    }
  }
}

/**
 * Loads the models of a run.
 *
 * @throws {QueueError} If its policies have other options here.
 * @throws {DeviceError} If its device does not work here.
 */
export async function prepareSamples(
  run: SamplesRun,
  given: Preparation,
): Promise<PreparedRun> {
  const { described, runName, store, now, version } = given;
  const { model: { precision, device, allowControlTokens }, answerTokens, chunk } = run;
  await using opening = new AsyncDisposableStack();
  const policies: NamedPolicy[] = [];
  for (const { label } of run.policies) {
    const { policy } = opening.use(
      await loadPolicy(label, {
        defaults: { oracle: { tokens: answerTokens } },
        onPrint: (line) => given.onNote(`policy: ${line}`),
      }),
    );
    policies.push({ label, policy });
  }
  const found = policies.map(({ label, policy: { name, options = {} } }) => ({
    label,
    name,
    options,
  }));
  const [other] = differences(run.policies, found);
  if (other) {
    throw new QueueError(
      `Cannot take the run: policies${other.path} is ${other.first} at the submitter's and ` +
        `${other.second} here; install the same version on all machines`,
    );
  }
  const budgets = run.budgets.map((label) => ({ label, budget: parseBudget(label) }));
  const machine = machineOf(version, { precision, device });
  const pool = opening.use(
    await modelPool<Model>(given, () =>
      loadModel(described.path, {
        ...{ home: given.home, threads: given.threads, signal: given.signal },
        ...{ precision, device, allowControlTokens },
      })),
  );
  const opened = opening.move();
  return {
    async work(job, signal) {
      const work = await unpackInput({ run: runName, ...job }, SAMPLE_WORK, store);
      return await pool.use(async (model) => {
        const measurement: SampleMeasurement = {
          ...{ model, policies, budgets, signal, now },
          ...(chunk === null ? {} : { chunk }),
        };
        return { ...await measureWork(work, measurement), machine };
      });
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
