/**
 * Measures a training step of soft tokens beside its forward pass:
 * `deno run -A bench/training_step.ts MODEL [--tokens 32] [--past 600] [--rounds 5]`.
 *
 * The cache and its target are random: neither changes what a step costs. The three ways are measured
 * in turn, so that the ratios are of the same minutes.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { createSoftKernel } from "../kernels/soft_kernel.ts";
import { createStepKernel } from "../kernels/step.ts";
import { resolveModel } from "../runtime/models/mod.ts";
import { globalLayers } from "../runtime/checkpoint/layer_kinds.ts";
import { openCheckpoint } from "../runtime/checkpoint/open.ts";
import { homeFolder } from "../runtime/models/home.ts";
import { rotaryTables } from "../runtime/rotary/rotary_tables.ts";
import { stepModel } from "../runtime/weights/step_model.ts";
import { summarise } from "./statistics.ts";

const { values, positionals: [source = ""] } = parseArgs({
  args: process.argv.slice(2),
  allowPositionals: true,
  options: {
    tokens: { type: "string", default: "32" },
    past: { type: "string", default: "600" },
    rounds: { type: "string", default: "5" },
    threads: { type: "string", default: "2" },
    loss: { type: "string", default: "mse" },
    type: { type: "string", default: "float32" },
    probe: { type: "boolean", default: false },
    precision: { type: "string", default: "fp32" },
  },
});

const [tokens, past, rounds, threads] = [
  Number(values.tokens),
  Number(values.past),
  Number(values.rounds),
  Number(values.threads),
];
const home = homeFolder();
const checkpoint = await openCheckpoint(await resolveModel(source, { home }), { home });
const { config } = checkpoint;
const model = await stepModel(checkpoint, {
  precision: values.precision === "int8" ? "int8" : values.precision === "int4" ? "int4" : "fp32",
  home,
});

function random(length: number): Float32Array {
  return Float32Array.from({ length }, () => Math.random() - 0.5);
}

const width = config.kvHeads * config.headDim;
const judged = globalLayers(config);
const rows = config.layerKinds.map(({ window = Infinity }) => {
  const held = Math.min(past, window - 1);
  return { keys: random(held * width), values: random(held * width) };
});
const half = values.type === "float16";
const inputs = {
  embeddings: random(tokens * config.hidden),
  rotary: rotaryTables(config, { sequence: past + tokens, position: past, tokens }),
  past: half
    ? rows.map(({ keys, values }) => ({
      keys: new Float16Array(keys),
      values: new Float16Array(values),
    }))
    : rows,
  target: random(judged.length * config.heads * past).map((value) => (value + 0.5) / past),
};
await using soft = await createSoftKernel(model, {
  tokens,
  judged,
  threads,
  loss: values.loss === "kl" ? "kl" : "mse",
  past: half ? "float16" : "float32",
});
await using stack = new AsyncDisposableStack();
const step = values.probe ? stack.use(await createStepKernel(model, threads)) : undefined;
const ways: Record<string, () => Promise<unknown>> = {
  forward: () => soft.run({ ...inputs, gradients: false }),
  step: () => soft.run(inputs),
};
if (step) {
  ways.probe = () =>
    step.run({
      ids: [],
      embeddings: inputs.embeddings,
      rotary: inputs.rotary,
      rows: [0],
      past: rows,
      observe: true,
    });
}
const times: Record<string, number[]> = {};
for (let round = -1; round < rounds; round++) {
  for (const [name, run] of Object.entries(ways)) {
    const start = performance.now();
    await run();
    if (round >= 0) (times[name] ??= []).push(performance.now() - start);
  }
}
const median = (name: string) => summarise(times[name] ?? []).median;
for (const name of Object.keys(ways)) {
  const ratio = median("step") / median(name);
  console.log(
    `${name.padEnd(8)} ${median(name).toFixed(1)} ms; a step costs ${ratio.toFixed(2)} of it`,
  );
}
console.log(`peak memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB`);
