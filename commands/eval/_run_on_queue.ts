import { ValidationError } from "@cliffy/command";
import type { RunSummary } from "../../evaluation/run/summary_record.ts";
import { defined } from "../_defined.ts";
import { interruptible } from "../_interrupt.ts";
import { note } from "../_output.ts";
import { openProgress } from "../_progress.ts";
import { millisecondsOf, openNamedStore, readQueue } from "../_queue.ts";
import type { EvalSettings } from "./_eval_command.ts";
import type { RunFlags, RunPlan } from "./_run_plan.ts";
import { counting, untilStopped } from "./_run_progress.ts";
import { runSettings } from "./_run_settings.ts";

/** Measures a benchmark through a queue; the model's weights are not loaded here. */
export async function runOnQueue(
  flags: RunFlags,
  plan: RunPlan,
  settings: EvalSettings,
  queue: string,
): Promise<RunSummary | undefined> {
  const { model: source, precision, device, allowControlTokens = false, chunk, out } = flags;
  if (device === "auto") {
    throw new ValidationError(
      'Option "--device" must name a device where there is a queue: workers would choose differently.',
    );
  }
  if (flags.trust) {
    throw new ValidationError('Option "--trust" cannot be given with "--queue": workers decide.');
  }
  const patience = millisecondsOf(flags.queueWait, "--queue-wait");
  const address = await readQueue(queue, flags);
  const { runBenchmark } = await import("../../evaluation/run/benchmark_run.ts");
  const { describeModel } = await import("../../runtime/describe_model.ts");
  const { measureThroughQueue } = await import("../../queue/submit_samples.ts");
  const { queuedModel } = await import("../../queue/queued_model.ts");
  const { pinnedPlaces } = await import("../../queue/prepare_samples.ts");
  const { checkQueue } = await import("../../queue/connection.ts");
  await checkQueue(address);
  let summary: RunSummary | undefined;
  await interruptible(async (signal) => {
    using progress = await openProgress();
    using store = await openNamedStore(flags.store);
    const model = await describeModel(source, {
      ...{ precision, allowControlTokens, signal },
      onProgress: progress.fetching,
    });
    progress.clear();
    const planned = await plan.plan(model);
    const recorded = await runSettings(flags, plan, planned, {
      ...settings,
      model,
      ...(device === "cpu" ? {} : { device }),
    });
    const { policies, budgets } = recorded;
    let workers: number | undefined;
    const elsewhere = measureThroughQueue({
      ...{ address, store, patience, signal, now: () => performance.now() },
      run: {
        ...{ format: 1, kind: "samples", version: plan.version, title: plan.name },
        model: await queuedModel(model, { device, allowControlTokens, store }),
        store: store !== undefined,
        // As they are once they were written.
        policies: JSON.parse(JSON.stringify(policies)),
        places: await pinnedPlaces(policies.map(({ label }) => label)),
        ...{ budgets, answerTokens: plan.answerTokens, chunk: chunk ?? null },
      },
      watch: {
        onNote(text) {
          progress.clear();
          note(text);
        },
        onWorkers: (count) => workers = count,
      },
    });
    const count = counting(progress, () => workers === undefined ? [] : [workersText(workers)]);
    summary = await untilStopped(flags, signal, () =>
      runBenchmark({
        ...planned,
        ...defined({ folder: out }),
        ...{ settings: recorded, workers: [], elsewhere, signal, onProgress: count },
      }));
    progress.clear();
  });
  return summary;
}

function workersText(count: number): string {
  return count === 1 ? "1 worker" : `${count} workers`;
}
