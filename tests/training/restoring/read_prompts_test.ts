import { assert, assertEquals, assertRejects } from "@std/assert";
import { snapKv } from "../../../policies/snapkv.ts";
import type { HostEngine } from "../../../runtime/engine/host/host_engine.ts";
import type { TrainingPrompt } from "../../../training/prompts.ts";
import type { RestoringExample } from "../../../training/restoring/example.ts";
import { openPrompts, type Visit } from "../../../training/restoring/read_prompts.ts";
import { randomIds, tinyModel } from "../../_test_model.ts";

const LENGTHS = [60, 50, 40];

/** The test's prompts, visited with so much memory; how often one was read is counted. */
async function visiting(room: number, policy = snapKv({ window: 4 })) {
  const test = await tinyModel("tiny-llama");
  const { engine, config } = test.model;
  let read = 0;
  const counting: HostEngine = {
    ...engine,
    advance: (sequence, input) => {
      if (sequence.position === 0) read++;
      return engine.advance(sequence, input);
    },
  };
  const answer = randomIds(4, config.vocabulary, 9);
  const prompts = LENGTHS.map((length, seed): TrainingPrompt => ({
    ids: randomIds(length, config.vocabulary, seed + 1),
    response: { kind: "original", ids: answer },
  }));
  const opened = openPrompts({
    ...{ engine: counting, facts: await test.model.facts(), policy },
    ...{ tokens: 3, follows: 6, room, signal: undefined },
  });
  return {
    visit: async (index: number, visit: Visit) => {
      const before = read;
      const prompt = prompts[index];
      assert(prompt);
      const example = await opened.visit(prompt, visit, (given) => Promise.resolve(given));
      return { example, read: read - before };
    },
    broken: (index: number, visit: Visit) => {
      const prompt = prompts[index];
      assert(prompt);
      return opened.visit(prompt, visit, () => Promise.reject(new RangeError("broken")));
    },
    async [Symbol.asyncDispose]() {
      opened[Symbol.dispose]();
      await test[Symbol.asyncDispose]();
    },
  };
}

const counts = (example: RestoringExample | undefined) =>
  new Set(example?.kept.flat().map(({ length }) => length));

Deno.test("openPrompts() reads a prompt once for all its visits, whatever share of it stays", async () => {
  await using prompts = await visiting(Infinity);
  const first = await prompts.visit(0, { ratio: 0.2, again: true });
  assertEquals([first.read, counts(first.example)], [1, new Set([9])]);
  const second = await prompts.visit(0, { ratio: 0.5, again: true });
  assertEquals([second.read, counts(second.example)], [0, new Set([27])]);
  // As if it had been read for that share.
  await using other = await visiting(0);
  const alone = await other.visit(0, { ratio: 0.5, again: true });
  assertEquals(second.example, alone.example);
  assertEquals((await other.visit(0, { ratio: 0.5, again: false })).read, 1);
});

Deno.test("openPrompts() keeps what fits and frees what is not visited again", async () => {
  await using measured = await visiting(Infinity);
  const { example } = await measured.visit(0, { ratio: 0.5, again: true });
  assert(example);
  const bytes = example.past.reduce((sum, { keys }) => sum + 2 * keys.byteLength, 0);
  // There is room for the first prompt and, once it is gone, for the second one.
  await using prompts = await visiting(1.9 * bytes);
  const visit = async (index: number, again: boolean) =>
    (await prompts.visit(index, { ratio: 0.5, again })).read;
  assertEquals([await visit(0, true), await visit(1, true)], [1, 1]);
  assertEquals([await visit(0, true), await visit(1, true)], [0, 1]);
  assertEquals([await visit(0, false), await visit(1, true)], [0, 1]);
  assertEquals([await visit(1, true), await visit(0, false)], [0, 1]);
});

Deno.test("openPrompts() passes over prompts that are too short, and keeps a budget that is protected", async () => {
  await using prompts = await visiting(Infinity, snapKv({ window: 16 }));
  const short = await prompts.visit(2, { ratio: 0.09, again: true });
  assertEquals([short.example, short.read], [undefined, 0]);
  // 10 % of 40 tokens are 4, of which 3 are soft tokens: the window stays.
  const raised = await prompts.visit(2, { ratio: 0.1, again: true });
  assertEquals([counts(raised.example), raised.read], [new Set([16]), 1]);
  await assertRejects(() => prompts.broken(1, { ratio: 0.5, again: false }), RangeError, "broken");
  assertEquals((await prompts.visit(1, { ratio: 0.5, again: false })).read, 1);
});
