import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { knorm } from "../../../policies/knorm.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import { duoAttention } from "../../../policies/duo_attention.ts";
import { kvZap } from "../../../policies/kvzap.ts";
import { luKv } from "../../../policies/lu_kv.ts";
import { UNPROTECTED } from "../../../policies/_measured_shares.ts";
import type { ScorerPolicy } from "../../../policies/policy.ts";
import { loadModel } from "../../../runtime/model.ts";
import { readModelFile } from "../../../runtime/model_files/file.ts";
import {
  calibrate,
  type Calibration,
  type CalibrationRequest,
} from "../../../training/calibration/calibrate.ts";
import { duoAttentionCalibration } from "../../../training/calibration/duo_attention.ts";
import { kvZapCalibration } from "../../../training/calibration/kvzap.ts";
import { luKvCalibration } from "../../../training/calibration/lu_kv.ts";
import { TrainingError } from "../../../training/errors.ts";
import { randomIds } from "../../_test_model.ts";
import { trainingBench } from "../_run.ts";

interface Bench extends AsyncDisposable {
  readonly folder: string;
  readonly model: string;
  readonly data: string;
  run(
    calibration: Calibration,
    changes?: Partial<CalibrationRequest>,
  ): ReturnType<typeof calibrate>;
}

async function bench(): Promise<Bench> {
  const { folder, model, data, [Symbol.asyncDispose]: remove } = await trainingBench();
  return {
    ...{ folder, model, data },
    run: (calibration, changes) =>
      calibrate({
        ...{ model, data },
        out: `${folder}/made.safetensors`,
        settings: { samples: 4, maxPromptTokens: 300, responseTokens: 4, seed: 1 },
        threads: 1,
        home: `${folder}/home`,
        origin: { command: "kvjudge train", version: "0", date: "2026-01-01" },
        ...changes,
      }, calibration),
    [Symbol.asyncDispose]: remove,
  };
}

Deno.test("a file that was measured is read by its policy, which then divides budgets by it", async () => {
  await using test = await bench();
  const cases: readonly (readonly [Calibration, (file: string) => ScorerPolicy])[] = [
    [luKvCalibration(knorm()), (curves) => luKv({ inner: knorm(), curves })],
    [
      duoAttentionCalibration({ sinks: 1, recent: 2 }),
      (heads) => duoAttention({ heads, sinks: 1, recent: 2 }),
    ],
    [kvZapCalibration(), (surrogate) => kvZap({ surrogate, window: 2 })],
  ];
  await using model = await loadModel(test.model, { home: `${test.folder}/home`, threads: 1 });
  for (const [calibration, policyOf] of cases) {
    const out = `${test.folder}/${calibration.kind}.safetensors`;
    const { prompts, card } = await test.run(calibration, { out });
    const file = await readModelFile(out);
    assertEquals([file.kind, prompts, card.prompts], [calibration.kind, 4, "4"]);
    assertEquals(file.card, card);
    const { fingerprint, identity } = await model.facts();
    assertEquals([file.fingerprint, file.identity], [fingerprint, identity]);
    await using session = model.session({ policy: policyOf(out), budget: 10 });
    const { kept } = await session.read({ ids: randomIds(30, model.engine.config.vocabulary) });
    const counts = kept.flat().map(({ length }) => length);
    assertEquals(counts.reduce((sum, count) => sum + count), 10 * counts.length);
    assert(new Set(counts).size > 1, `${calibration.kind}: all heads keep ${counts[0]}`);
    assertEquals(session.stats().notes.filter((note) => note.includes("no file")), []);
  }
});

Deno.test("the same measurement gives the same bytes", async () => {
  await using test = await bench();
  const made: Uint8Array[] = [];
  for (const name of ["a", "b"]) {
    const out = `${test.folder}/${name}.safetensors`;
    const { card } = await test.run(luKvCalibration(snapKv({ window: 4 })), { out });
    assertEquals(card.shares, UNPROTECTED);
    assertMatch(card.kept_at_25 ?? "", /^0\.\d{3} \(0\.\d{3} with even budgets\)$/);
    made.push(await Deno.readFile(out));
  }
  assertEquals(made[0], made[1]);
});

Deno.test("calibrate() refuses what cannot be measured, in one sentence, and leaves nothing", async () => {
  await using test = await bench();
  const calibration = luKvCalibration(knorm());
  const settings = { samples: 4, maxPromptTokens: 300, responseTokens: 4, seed: 1 };
  const cases: readonly (readonly [Partial<CalibrationRequest>, string])[] = [
    [{ settings: { ...settings, samples: 0 } }, "'samples' must be an integer of at least 1"],
    [{ out: `${test.folder}/no/made.safetensors` }, "there is no folder"],
    [{ out: test.data }, "its log and curves would have its name"],
    [{ settings: { ...settings, maxPromptTokens: 1 } }, "are longer than 1 tokens"],
  ];
  for (const [changes, message] of cases) {
    await assertRejects(() => test.run(calibration, changes), TrainingError, message);
  }
  await assertRejects(
    () => test.run(duoAttentionCalibration({ sinks: 500, recent: 500 })),
    TrainingError,
    "no prompt is longer than the 1000 tokens",
  );
  assertEquals(
    [...Deno.readDirSync(test.folder)].some(({ name }) => name.startsWith("made")),
    false,
  );
});
