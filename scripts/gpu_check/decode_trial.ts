import { knownAdapter } from "./adapter_file.ts";
import { emit } from "./finding.ts";
import { gpuState } from "./gpu_memory.ts";
import { checkpointPath, describeModel } from "./open_model.ts";
import { nodeCount, openRawStep, type RawStep } from "./raw_step.ts";
import type { CheckOptions } from "./section.ts";
import { type Trial, TRIALS } from "./trials.ts";

async function main(options: CheckOptions, trial: Trial): Promise<void> {
  const { layers, held = 512, format = "q4_0" } = trial;
  const path = await checkpointPath(options, format);
  const { described } = await describeModel(options, path);
  const model = { ...described, layers: described.layers.slice(0, layers) };
  const { fp16 } = await knownAdapter(options);
  const half = options.device === "webgpu" && fp16;
  const start = performance.now();
  await using step = await openRawStep(model, { device: options.device, half, trial });
  const load = performance.now() - start;
  const warm = performance.now();
  await step.run();
  const first = performance.now() - warm;
  for (let index = 0; index < 3; index++) await step.run();
  const { steps } = options;
  const waited = await timed(() => step.run(), steps) / step.steps;
  const ahead = options.device === "webgpu" && step.steps === 1
    ? await runAhead(step, steps)
    : undefined;
  const state = await gpuState();
  emit({
    what: trial.name,
    values: {
      "ms/step": waited,
      ...(ahead ? { "ms/step without reading logits": ahead.all, "ms to submit": ahead.sent } : {}),
      nodes: nodeCount(step.graph),
      layers: model.layers.length,
      held,
      "load ms": load,
      "first step ms": first,
      "shared weights, MB": step.device.usage.weights / 1e6,
      ...(state ? { "GPU memory, MiB": state.used } : {}),
    },
  });
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
