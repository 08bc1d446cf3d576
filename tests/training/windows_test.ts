import { assert, assertEquals } from "@std/assert";
import { assertRejects } from "@std/assert";
import { readSafetensors } from "../../runtime/checkpoint/safetensors_header.ts";
import { TrainingError } from "../../training/errors.ts";
import { SMALL, trainingBench } from "./_run.ts";

/** Layers 1 and 3 of four are global; the prompts are much longer than the window. */
const GEMMA = { family: "gemma3", layers: 4, window: 24, globalEvery: 2, tied: true } as const;

Deno.test("trainSoftTokens() lowers the loss of the global layers of a model with windows", async () => {
  await using bench = await trainingBench(GEMMA);
  const settings = { ...SMALL, epochs: 30, rate: 0.05 };
  const { lossStart, lossEnd, validation } = await bench.train("soft", { settings });
  assert(lossEnd < 0.9 * lossStart, `${lossStart} to ${lossEnd}`);
  assert((validation?.hitRate[64] ?? 0) > 0.3, JSON.stringify(validation));
});

Deno.test("trainSoftTokens() behind windows stops, resumes and recomputes to the same bytes", async () => {
  await using bench = await trainingBench(GEMMA);
  await bench.train("whole.safetensors");
  const controller = new AbortController();
  let steps = 0;
  const watch = { onStep: () => void (++steps === 4 && controller.abort()) };
  const { signal } = controller;
  await assertRejects(() => bench.train("parts.safetensors", { signal, watch }), DOMException);
  await bench.train("parts.safetensors", { resume: true });
  await bench.train("again.safetensors", { recompute: true });
  const whole = await bench.bytes("whole.safetensors");
  assertEquals(await bench.bytes("parts.safetensors"), whole);
  assertEquals(await bench.bytes("again.safetensors"), whole);
});

Deno.test("makeTargets() keeps of layers that slide what their window holds", async () => {
  await using bench = await trainingBench(GEMMA);
  const targets = `${bench.folder}/kept`;
  await bench.train("soft.safetensors", { targets, settings: { ...SMALL, epochs: 1 } });
  const names = [...Deno.readDirSync(targets)].map(({ name }) => name);
  const [width, kept] = [2 * 8, 2];
  for (const name of names.filter((one) => one.endsWith(".past.safetensors"))) {
    const target = readSafetensors(`${targets}/${name.replace(".past.", ".target.")}`);
    const [, tokens = 0] = target.tensors.get("attention")?.shape ?? [];
    assertEquals(target.tensors.get("attention")?.shape, [2 * 4, tokens]);
    const { tensors } = readSafetensors(`${targets}/${name}`);
    assertEquals(tensors.get("keys")?.shape, [(2 * tokens + 2 * 23) * width * kept]);
  }
});

Deno.test("trainSoftTokens() refuses a model all of whose layers slide", async () => {
  await using bench = await trainingBench({ family: "mistral", window: 24 });
  const error = await assertRejects(() => bench.train("soft.safetensors"), TrainingError);
  assertEquals(
    error.message.replaceAll(`${bench.folder}/`, ""),
    "Cannot train soft tokens for base-model: all its layers slide, so nothing is ever evicted; " +
      "train for a model with global layers",
  );
  assertEquals(error.options, ["model"]);
  assertEquals(bench.files(), ["data.jsonl"]);
});
