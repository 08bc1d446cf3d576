import { assert, assertEquals, assertRejects } from "@std/assert";
import { keyDiff } from "../../../policies/keydiff.ts";
import { restoreKv } from "../../../policies/restore_kv.ts";
import { parseCard } from "../../../runtime/soft_tokens/card.ts";
import { readSoftTokens } from "../../../runtime/soft_tokens/read.ts";
import { loadModel } from "../../../runtime/model.ts";
import { TrainingError } from "../../../training/errors.ts";
import {
  RESTORING_DEFAULTS,
  type RestoringSettings,
} from "../../../training/restoring/settings.ts";
import { trainRestoring } from "../../../training/restoring/train.ts";
import { type TrainingBench, trainingBench } from "../_run.ts";

const SMALL: RestoringSettings = {
  ...RESTORING_DEFAULTS,
  tokens: 3,
  samples: 6,
  validate: 2,
  epochs: 6,
  rate: 0.05,
  responseTokens: 4,
  initial: "random",
  ratios: [0.2, 0.3],
};

function train(bench: TrainingBench, out: string, changes: Partial<RestoringSettings> = {}) {
  return trainRestoring({
    model: bench.model,
    data: bench.data,
    out: `${bench.folder}/${out}`,
    policy: keyDiff(),
    settings: { ...SMALL, ...changes },
    threads: 1,
    home: `${bench.folder}/home`,
    origin: { command: "train", version: "0", date: "2026-01-01" },
  });
}

Deno.test("trainRestoring() brings answers behind an evicted cache nearer to those of the full one", async () => {
  await using bench = await trainingBench();
  const { steps, validation, out } = await train(bench, "restore.safetensors");
  assertEquals(steps, 36);
  assert(validation.after < validation.before, `${validation.before} to ${validation.after}`);
  const tokens = await readSoftTokens(out);
  assertEquals(tokens.count, 3);
  const card = parseCard(tokens.card ?? {});
  assertEquals([card.lossStart, card.lossEnd], [validation.before, validation.after]);
  assertEquals(card.settings?.policy, "keydiff");

  await using model = await loadModel(bench.model, { home: `${bench.folder}/home`, threads: 1 });
  const policy = restoreKv({ inner: keyDiff(), softTokens: out });
  await using session = model.session({ policy, budget: 30 });
  await session.read({ text: "more than thirty tokens ".repeat(6) });
  assertEquals(Math.max(...session.stats().held), 30);
  assertEquals(session.stats().notes, []);
  // The same settings give the same numbers.
  await train(bench, "again.safetensors");
  assertEquals(
    (await readSoftTokens(`${bench.folder}/again.safetensors`)).embeddings,
    tokens.embeddings,
  );
});

Deno.test("trainRestoring() refuses settings and places that it cannot use, before any work", async () => {
  await using bench = await trainingBench();
  const refused = async (changes: Partial<RestoringSettings>, words: string) =>
    void await assertRejects(() => train(bench, "no.safetensors", changes), TrainingError, words);
  await refused({ ratios: [0.5, 0.2] }, "the smaller first");
  await refused({ tokens: 0 }, "'tokens'");
  await refused({ rate: NaN }, "'rate' must be a finite number above 0, got NaN");
  await refused({ warmup: 1.5 }, "'warmup' must be a share of the steps from 0 to 1, got 1.5");
  await refused({ seed: -1 }, "'seed' must be an integer of at least 0, got -1");
  await refused({ seed: 0.5 }, "'seed' must be an integer of at least 0, got 0.5");
  await refused({ initial: "no such file" }, "Cannot start from no such file");
  await Deno.writeTextFile(`${bench.folder}/there.safetensors`, "");
  await assertRejects(
    () => train(bench, "there.safetensors"),
    TrainingError,
    "remove it or choose",
  );
});
