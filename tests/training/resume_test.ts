import { assert, assertEquals, assertRejects } from "@std/assert";
import { readLog } from "../../training/log.ts";
import type { TrainingRequest, TrainingWatch } from "../../training/train.ts";
import { SMALL, type TrainingBench, trainingBench } from "./_run.ts";

const ADAPTED = {
  ...SMALL,
  adapters: { rank: 2, projections: ["q", "v"] as const, rate: 0.001 },
};

/** Trains in pieces, each stopped by the watch that its number gives, and says how often. */
async function inPieces(
  bench: TrainingBench,
  out: string,
  request: Partial<TrainingRequest>,
  watchOf: (stop: () => void, piece: number) => TrainingWatch,
): Promise<number> {
  for (let piece = 0;; piece++) {
    const controller = new AbortController();
    const { signal } = controller;
    const watch = watchOf(() => controller.abort(), piece);
    try {
      await bench.train(out, { ...request, resume: piece > 0, signal, watch });
      return piece;
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

async function assertSameRun(bench: TrainingBench, a: string, b: string): Promise<void> {
  assertEquals(await bench.bytes(`${a}.safetensors`), await bench.bytes(`${b}.safetensors`));
  assertEquals(await bench.bytes(`${a}.jsonl`), await bench.bytes(`${b}.jsonl`));
  assertEquals(await bench.bytes(`${a}.svg`), await bench.bytes(`${b}.svg`));
}

for (const [name, settings] of [["soft tokens", SMALL], ["adapters", ADAPTED]] as const) {
  Deno.test(`trainSoftTokens() of ${name} stopped and resumed gives the same bytes`, async () => {
    await using bench = await trainingBench();
    await bench.train("whole.safetensors", { settings });
    const log = await readLog(`${bench.folder}/whole.jsonl`);
    assertEquals(log.map(({ step }) => step), Array.from({ length: 13 }, (_, step) => step));
    const validated = log.filter(({ validation }) => validation).map(({ step }) => step);
    assertEquals(validated, [0, 5, 10, 12]);

    // Each piece makes two targets, or takes so many steps more than the last one had.
    let begun = 0;
    const pieces = await inPieces(bench, "pieces.safetensors", { settings }, (stop) => {
      let [targets, steps] = [0, 0];
      return {
        onTarget: (done, _total, found) => done > found && ++targets === 2 && stop(),
        onStart: () => begun++ === 0 && stop(),
        onStep: () => ++steps === 3 && stop(),
      };
    });
    assert(pieces >= 8, `stopped ${pieces} times`);
    await assertSameRun(bench, "pieces", "whole");
  });
}

Deno.test("trainSoftTokens() stopped during a validation goes on right before it", async () => {
  await using bench = await trainingBench();
  await bench.train("whole.safetensors");
  const saved: number[] = [];
  const controller = new AbortController();
  // The clock is read twice a step; after the second time in step 5 comes the validation.
  let readings = 0;
  const now = () => {
    if (++readings === 10) controller.abort();
    return readings * 1000;
  };
  const watch = { onSaved: (step: number) => saved.push(step) };
  await assertRejects(() =>
    bench.train("stopped.safetensors", { now, signal: controller.signal, watch })
  );
  assertEquals(saved, [0, 2, 4, 4]);
  const before = await readLog(`${bench.folder}/stopped.jsonl`);
  assertEquals(before.at(-1)?.step, 4);
  await bench.train("stopped.safetensors", { resume: true });
  await assertSameRun(bench, "stopped", "whole");
});

Deno.test("trainSoftTokens() resumed when it is done writes the same files again", async () => {
  await using bench = await trainingBench();
  await bench.train("done.safetensors");
  const [tokens, log] = [await bench.bytes("done.safetensors"), await bench.bytes("done.jsonl")];
  await Deno.remove(`${bench.folder}/done.safetensors`);
  await bench.train("done.safetensors", { resume: true });
  assertEquals(await bench.bytes("done.safetensors"), tokens);
  assertEquals(await bench.bytes("done.jsonl"), log);
});

Deno.test("trainSoftTokens() goes on from the state before where the last is damaged", async () => {
  await using bench = await trainingBench();
  await bench.train("whole.safetensors");
  await inPieces(bench, "torn.safetensors", {}, (stop, piece) => ({
    onStep: ({ step }) => step === 7 && stop(),
    onSaved: (step) => {
      if (piece === 0 && step === 7) {
        Deno.truncateSync(`${bench.folder}/torn.work/state.safetensors`, 300);
      }
    },
  }));
  await assertSameRun(bench, "torn", "whole");
});
