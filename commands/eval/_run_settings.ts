import type { RunSettings } from "../../evaluation/run/record.ts";
import type { Model } from "../../runtime/model.ts";
import type { EvalSettings } from "./_eval_command.ts";
import type { BenchmarkPlan, RunFlags, RunPlan } from "./_run_plan.ts";

/** What is measured by what. */
export interface Recorded extends EvalSettings {
  readonly model: Pick<Model, "name" | "fingerprint" | "precision">;
  /** Absent: the processor. */
  readonly device?: string;
}

/** What is written down of a run before its first sample. */
export async function runSettings(
  flags: RunFlags,
  { name, version }: RunPlan,
  { tasks, options }: BenchmarkPlan,
  { policies, budgets, model, device }: Recorded,
): Promise<RunSettings> {
  const { RUN_FORMAT } = await import("../../evaluation/run/record.ts");
  return {
    format: RUN_FORMAT,
    benchmark: name,
    model: {
      name: model.name,
      fingerprint: await model.fingerprint(),
      precision: model.precision,
      ...(device === undefined ? {} : { device }),
    },
    versions: { kvjudge: version, deno: Deno.version.deno },
    policies: policies.map(({ label, policy }) => ({
      label,
      name: policy.name,
      options: policy.options ?? {},
    })),
    budgets: budgets.map(({ label }) => label),
    tasks,
    seed: flags.seed,
    options: {
      samples: flags.samples,
      chunk: flags.chunk ?? null,
      ...options,
    },
  };
}
