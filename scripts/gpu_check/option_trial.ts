import { join } from "node:path";
import { knownAdapter } from "./adapter_file.ts";
import { emit } from "./finding.ts";
import { checkpointPath, describeModel } from "./open_model.ts";
import { summariseProfile } from "./profile.ts";
import { nodeCount, openRawStep, type RawStep } from "./raw_step.ts";
import type { CheckOptions } from "./section.ts";
import { type Trial, TRIALS } from "./trials.ts";

/** Operators of a profile that are told of. */
const MOST_ROWS = 24;

async function main(options: CheckOptions, trial: Trial): Promise<void> {
  const { layers, held = 512, tokens = 1, format = "q4_0", profile = false } = trial;
  const path = await checkpointPath(options, format);
  const { described } = await describeModel(options, path);
  const model = { ...described, layers: described.layers.slice(0, layers) };
  const { fp16 } = await knownAdapter(options);
  const half = options.device === "webgpu" && fp16;
  const folder = await Deno.makeTempDir({ dir: options.folder, prefix: "profile-" });
  const choice = profile
    ? { ...trial.choice, enableProfiling: true, profileFilePrefix: join(folder, "step") }
    : trial.choice;
  const start = performance.now();
  await using step = await openRawStep(model, {
    device: options.device,
    half,
    held,
    tokens,
    choice,
  });
  const load = performance.now() - start;
  const warm = performance.now();
  await step.run();
  const first = performance.now() - warm;
  for (let index = 0; index < 3; index++) await step.run();
  // Profiles of many steps are large.
  const steps = tokens > 1 || profile ? Math.min(options.steps, 8) : options.steps;
  if (profile) await profiled(step, trial, steps, folder);
  else {
    const waited = await timed(() => step.run(), steps);
    const ahead = options.device === "webgpu" ? await runAhead(step, steps) : undefined;
    emit({
      what: trial.name,
      values: {
        "ms/step": waited,
        ...(ahead
          ? { "ms/step without reading logits": ahead.all, "ms to submit": ahead.sent }
          : {}),
        nodes: nodeCount(step.graph),
        layers: model.layers.length,
        held,
        tokens,
        "load ms": load,
        "first step ms": first,
      },
    });
  }
  await Deno.remove(folder, { recursive: true });
}

async function timed(work: () => Promise<void>, times: number): Promise<number> {
  const start = performance.now();
  for (let index = 0; index < times; index++) await work();
  return (performance.now() - start) / times;
}

/** Steps that wait for nothing: how long handing over takes, and how long all of it. */
async function runAhead(step: RawStep, times: number): Promise<{ sent: number; all: number }> {
  await step.runAhead();
  await step.run();
  const start = performance.now();
  for (let index = 1; index < times; index++) await step.runAhead();
  const sent = (performance.now() - start) / (times - 1);
  // The last one is waited for.
  await step.run();
  return { sent, all: (performance.now() - start) / times };
}

async function profiled(step: RawStep, trial: Trial, times: number, folder: string): Promise<void> {
  for (let index = 0; index < times; index++) await step.run();
  step.endProfiling();
  for (const { name } of Deno.readDirSync(folder)) {
    const rows = summariseProfile(await Deno.readTextFile(join(folder, name)));
    // Loading and warming up are in the profile too: counts say how often.
    for (const { kind, name: operator, count, milliseconds } of rows.slice(0, MOST_ROWS)) {
      const values = { count, "ms each": milliseconds / count, "ms in all": milliseconds };
      emit({ what: `${trial.name}: ${kind} ${operator}`, values });
    }
  }
}

if (import.meta.main) {
  const [options = "{}", name = ""] = Deno.args;
  const trial = TRIALS.find((one) => one.name === name);
  if (!trial) throw new RangeError(`There is no trial '${name}'`);
  try {
    await main(JSON.parse(options), trial);
  } catch (error) {
    emit({ what: name, values: { error: String(error).slice(0, 300) } });
  }
  Deno.exit(0);
}
