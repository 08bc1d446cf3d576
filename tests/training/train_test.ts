import { assert, assertEquals, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import { existsSync } from "node:fs";
import { writeSafetensors } from "../../runtime/checkpoint/safetensors.ts";
import { KvjudgeError } from "../../runtime/errors.ts";
import { readSoftTokens } from "../../runtime/soft_tokens/read.ts";
import { TrainingError } from "../../training/errors.ts";
import { readLog } from "../../training/log.ts";
import type { TrainingRequest } from "../../training/train.ts";
import { writeFolder } from "../_random_checkpoint.ts";
import { conversations, SMALL, type TrainingBench, trainingBench } from "./_run.ts";

/** The message with which a run is refused; nothing may be left of it. */
async function refusal(
  bench: TrainingBench,
  out: string,
  request: Partial<TrainingRequest>,
): Promise<string> {
  const work = `${bench.folder}/${out}.work`;
  const before = [existsSync(work), ...bench.files()];
  const error = await assertRejects(() => bench.train(out, request), KvjudgeError);
  assertEquals([existsSync(work), ...bench.files()], before);
  assert(!error.message.includes("\n"), error.message);
  return error.message.replaceAll(`${bench.folder}/`, "");
}

Deno.test("trainSoftTokens() lowers the loss on examples that it never trains on", async () => {
  await using bench = await trainingBench();
  const settings = { ...SMALL, epochs: 30, rate: 0.05 };
  const { lossStart, lossEnd, steps, validation } = await bench.train("soft", { settings });
  assertEquals(steps, 90);
  assert(lossEnd < 0.9 * lossStart, `${lossStart} to ${lossEnd}`);
  const [first] = await readLog(`${bench.folder}/soft.jsonl`);
  const before = first?.validation as { loss: number };
  assert(validation && validation.loss < before.loss, `${before.loss} to ${validation?.loss}`);
});

Deno.test("trainSoftTokens() gives other tokens for another seed, loss, average or weighting", async () => {
  await using bench = await trainingBench();
  const targets = `${bench.folder}/targets`;
  const tokensOf = async (name: string, changes: Partial<typeof SMALL>) => {
    await bench.train(name, { targets, settings: { ...SMALL, epochs: 1, ...changes } });
    return (await readSoftTokens(`${bench.folder}/${name}`)).embeddings;
  };
  const usual = await tokensOf("usual", {});
  assertEquals(await tokensOf("same", {}), usual);
  const others: Partial<typeof SMALL>[] = [
    { loss: "mse" },
    { average: "groups" },
    { layerWeights: "rising" },
    { layerWeights: "falling" },
    { clip: 0.01, rate: 0.02 },
    { warmup: 1 },
    { batch: 1 },
  ];
  for (const [index, changes] of others.entries()) {
    assertNotEquals(await tokensOf(`other${index}`, changes), usual, JSON.stringify(changes));
  }
});

Deno.test("trainSoftTokens() without kept keys and values gives the same bytes", async () => {
  await using bench = await trainingBench();
  await bench.train("kept.safetensors");
  await bench.train("recomputed.safetensors", { recompute: true });
  const names = [...Deno.readDirSync(`${bench.folder}/recomputed.work/targets`)];
  assertEquals(names.filter(({ name }) => name.includes(".past.")), []);
  assertEquals(await bench.bytes("recomputed.safetensors"), await bench.bytes("kept.safetensors"));
});

Deno.test("trainSoftTokens() finds the targets of other runs, and makes others where it must", async () => {
  await using bench = await trainingBench();
  const targets = `${bench.folder}/shared`;
  const made = async (out: string, request: Partial<TrainingRequest>) => {
    let counted = 0;
    const onTarget = (done: number, _total: number, found: number) => counted = done - found;
    await bench.train(out, { targets, watch: { onTarget }, ...request });
    return counted;
  };
  assertEquals(await made("a", {}), 8);
  assertEquals(await made("b", { settings: { ...SMALL, tokens: 2, loss: "mse", rate: 0.1 } }), 0);
  assertEquals(await made("c", { settings: { ...SMALL, samples: 8 } }), 2);
  assertEquals(await made("d", { settings: { ...SMALL, responseTokens: 5 } }), 8);
  // These data have no answers: the model gives them in either case.
  assertEquals(await made("e", { settings: { ...SMALL, responses: "original" } }), 0);
  const first = {
    messages: [{ role: "user", content: "How?" }, { role: "assistant", content: "So." }],
  };
  await Deno.writeTextFile(bench.data, `${JSON.stringify(first)}\n${conversations(12)}`);
  const all = { ...SMALL, samples: 11 };
  assertEquals(await made("f", { settings: all }), 3);
  assertEquals(await made("g", { settings: { ...all, responses: "original" } }), 1);
});

Deno.test("trainSoftTokens() stops when it diverges and says how to go on", async () => {
  await using bench = await trainingBench();
  // Soft tokens are normalised, so that no rate makes their loss infinite; adapters are not.
  const adapters = { rank: 2, projections: ["q", "k"] as const, rate: 1e20 };
  const settings = { ...SMALL, warmup: 0, adapters };
  const saved: number[] = [];
  const watch = { onSaved: (step: number) => void saved.push(step) };
  const error = await assertRejects(
    () => bench.train("soft.safetensors", { settings, watch }),
    TrainingError,
  );
  const message = error.message.replaceAll(`${bench.folder}/`, "");
  assertMatch(
    message,
    /^Cannot go on training: the loss was .* at step \d+, .* the state of step \d+ is saved; start again with a lower 'rate', another 'out' and 'targets' soft\.work\/targets$/,
  );
  assertEquals(message.includes(`state of step ${saved.at(-1)} is saved`), true, `${saved}`);
  assert(!existsSync(`${bench.folder}/soft.safetensors`));
  const targets = `${bench.folder}/soft.work/targets`;
  let fresh = -1;
  const onTarget = (done: number, _total: number, found: number) => fresh = done - found;
  await bench.train("lower.safetensors", { targets, watch: { onTarget } });
  assertEquals(fresh, 0);
  const again = await assertRejects(
    () => bench.train("soft.safetensors", { settings, resume: true }),
    TrainingError,
  );
  assertEquals(again.message, error.message);
});

Deno.test("trainSoftTokens() refuses to resume what is not its own run", async () => {
  await using bench = await trainingBench();
  const controller = new AbortController();
  const watch = { onStep: () => controller.abort() };
  await assertRejects(() => bench.train("soft", { signal: controller.signal, watch }));
  const other =
    /^Cannot resume from soft\.work\/.*: it was made with other settings, data or another model; resume with the same ones, or start again into another file$/;
  const resumed = (request: Partial<TrainingRequest>) =>
    refusal(bench, "soft", { resume: true, ...request });
  assertMatch(await resumed({ settings: { ...SMALL, rate: 0.02 } }), other);
  const copy = `${bench.folder}/copy.jsonl`;
  await Deno.writeTextFile(copy, conversations(13));
  assertMatch(await resumed({ data: copy }), other);
  const model = `${bench.folder}/other-model`;
  await Deno.mkdir(model);
  await writeFolder(model, { vocabulary: 520, seed: 2 });
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    await Deno.copyFile(`${bench.model}/${name}`, `${model}/${name}`);
  }
  assertMatch(await resumed({ model }), other);
  assertMatch(
    await refusal(bench, "soft", {}),
    /^Cannot train into soft: the state of an earlier run lies there; go on with 'resume', or remove/,
  );
  assertEquals(
    await refusal(bench, "nothing", { resume: true }),
    "Cannot resume nothing: there is no interrupted run of it; start it without 'resume'",
  );
  for (const name of Deno.readDirSync(`${bench.folder}/soft.work`)) {
    if (name.isFile) Deno.writeTextFileSync(`${bench.folder}/soft.work/${name.name}`, "damaged");
  }
  assertMatch(await resumed({}), /^Cannot resume soft: its state .* is damaged; remove it and/);
});

Deno.test("trainSoftTokens() refuses data that it cannot train on", async () => {
  await using bench = await trainingBench();
  const withData = async (text: string, settings = SMALL) => {
    const data = `${bench.folder}/other.jsonl`;
    await Deno.writeTextFile(data, text);
    return await refusal(bench, "soft", { data, settings });
  };
  const missing = { data: `${bench.folder}/none` };
  assertMatch(await refusal(bench, "soft", missing), /^Cannot read none: it does not exist/);
  assertMatch(await withData(""), /^Cannot .*empty/);
  assertMatch(await withData('{"prompt": 3}\n{"a": 1}\n'), /none of its records is usable/);
  const long = conversations(3);
  assertEquals(
    await withData(long, { ...SMALL, maxPromptTokens: 20 }),
    "Cannot train: all 3 prompts are longer than 20 tokens; raise 'maxPromptTokens'",
  );
  assertMatch(
    await withData(long, { ...SMALL, responseTokens: 500 }),
    /^Cannot train: all 3 prompts are longer than 12 tokens; the model reads 512, so give shorter/,
  );
});

Deno.test("trainSoftTokens() trains on what there is where the data are few or broken, and says so", async () => {
  await using bench = await trainingBench();
  const data = `${bench.folder}/few.jsonl`;
  await Deno.writeTextFile(data, `{"prompt": 3}\n{oops\n${conversations(3)}`);
  const notes: string[] = [];
  const settings = { ...SMALL, epochs: 1 };
  const watch = { onNote: (text: string) => void notes.push(text) };
  const { steps } = await bench.train("soft", { data, settings, watch });
  assertEquals(steps, 1);
  assertEquals(notes.length, 2);
  assertMatch(notes[0] ?? "", /^records skipped: 2 \(line 1: its prompt is not text; line 2: /);
  assertEquals(notes[1], "examples fewer than wanted: 5; training on 2, validating on 1");
  await Deno.writeTextFile(data, conversations(1));
  const one = await bench.train("one", { data, settings, watch });
  assertEquals([one.steps, one.validation], [1, undefined]);
  assert(existsSync(`${bench.folder}/one.svg`));
});

Deno.test("trainSoftTokens() starts from a file of soft tokens of the model, and of no other", async () => {
  await using bench = await trainingBench();
  const { folder } = bench;
  await bench.train("first.safetensors");
  const first = await readSoftTokens(`${folder}/first.safetensors`);
  const initial = `${folder}/first.safetensors`;
  const settings = { ...SMALL, initial, rate: 1e-12, epochs: 1 };
  await bench.train("second.safetensors", { settings });
  const second = await readSoftTokens(`${folder}/second.safetensors`);
  const far = second.embeddings.filter((value, i) =>
    !(Math.abs(value - (first.embeddings[i] ?? NaN)) < 1e-6)
  );
  assertEquals(far.length, 0);
  assert(!JSON.stringify(second.card).includes(folder), "a card names no folder");

  const refused = (changes: Partial<typeof SMALL>) =>
    refusal(bench, "third.safetensors", { settings: { ...settings, ...changes } });
  assertEquals(
    await refused({ tokens: 5 }),
    "Cannot start from first.safetensors: it holds 4 soft tokens and the run trains 5; set " +
      "'tokens' to 4 or give another file",
  );
  assertMatch(await refused({ initial: "nofile" }), /^Cannot start from nofile: there is no file/);
  assertMatch(await refused({ initial: bench.data }), /^Cannot read data.jsonl as safetensors/);
  const soft_tokens = { shape: [4, 32], data: new Float32Array(128) };
  const foreign = `${folder}/foreign.safetensors`;
  await writeSafetensors(foreign, { soft_tokens }, { model_fingerprint: "other", model: "big" });
  assertMatch(
    await refused({ initial: foreign }),
    /^Cannot use soft tokens of big with fingerprint/,
  );
  const wide = { shape: [4, 64], data: new Float32Array(256) };
  await writeSafetensors(foreign, { soft_tokens: wide });
  assertMatch(await refused({ initial: foreign }), /size 64: the model's embeddings have size 32/);
  assertMatch(await refused({ initial: "words", tokens: 300 }), /^Cannot start from words: /);
});

Deno.test("trainSoftTokens() says that the adapters of a file to start from are not used", async () => {
  await using bench = await trainingBench();
  const adapters = { rank: 2, projections: ["q"] as const, rate: 0.001 };
  const settings = { ...SMALL, epochs: 1, adapters };
  await bench.train("adapted", { settings });
  const notes: string[] = [];
  const watch = { onNote: (text: string) => void notes.push(text) };
  const initial = `${bench.folder}/adapted`;
  await bench.train("next", { settings: { ...settings, initial }, watch });
  assertEquals(notes, [`the adapters of ${initial} are not used, only its soft tokens`]);
});

Deno.test("trainSoftTokens() refuses intervals, threads and files out of range before any work", async () => {
  await using bench = await trainingBench();
  const refused = (request: Partial<TrainingRequest>) => refusal(bench, "soft", request);
  assertEquals(
    await refused({ saveEvery: 0 }),
    "Cannot train: 'saveEvery' must be an integer of at least 1, got 0",
  );
  assertEquals(
    await refused({ validateEvery: 1.5 }),
    "Cannot train: 'validateEvery' must be an integer of at least 1, got 1.5",
  );
  assertMatch(await refused({ threads: 0 }), /^Cannot run on 0 threads/);
  assertMatch(await refused({ targets: bench.data }), /^Cannot write data\.jsonl: /);
  assertMatch(await refused({ model: `${bench.folder}/none` }), /^Cannot (find|open) /);
  assertMatch(await refused({ model: bench.data }), /^Cannot open data\.jsonl/);
});
