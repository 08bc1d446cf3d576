import { assertEquals, assertRejects } from "@std/assert";
import type { SoftTokens } from "../../../policies/policy.ts";
import { CheckpointError } from "../../../runtime/errors.ts";
import { probePolicy } from "../../_probe_policy.ts";
import { randomIds, tinyModel } from "../../_test_model.ts";

const IDS = randomIds(96, 320);

Deno.test("session.stats() notes that soft tokens are untrained, and why", async () => {
  await using test = await tinyModel("tiny-llama");
  const { hidden } = test.model.config;
  const embeddings = new Float32Array(hidden).fill(0.1);
  const notesOf = async (tokens: Pick<SoftTokens, "trained" | "note">, budget: number) => {
    const evidence = {
      kind: "soft",
      tokens: () => ({ count: 1, hidden, embeddings, ...tokens }),
    } as const;
    await using session = test.model.session({ policy: probePolicy(evidence), budget });
    await session.read({ ids: IDS });
    return session.stats().notes;
  };
  assertEquals(await notesOf({ trained: true, note: "unseen" }, 24), []);
  const untrained = "probe ran with untrained soft tokens";
  assertEquals(await notesOf({ trained: false }, 24), [untrained]);
  assertEquals(await notesOf({ trained: false, note: "none" }, 24), [`${untrained}: none`]);
  assertEquals(await notesOf({ trained: false }, IDS.length), [
    `nothing was evicted: the budget covers the prompt's ${IDS.length} tokens`,
  ]);
});

Deno.test("session.read() refuses soft tokens that do not fit before it reads", async () => {
  await using test = await tinyModel("tiny-llama");
  const tokens = () => ({ count: 1, hidden: 1, embeddings: new Float32Array(1), trained: true });
  const policy = probePolicy({ kind: "soft", tokens });
  await using session = test.model.session({ policy, budget: 24 });
  const progress: number[] = [];
  const onProgress = (done: number) => progress.push(done);
  await assertRejects(() => session.read({ ids: IDS }, { onProgress }), CheckpointError, "size 1");
  assertEquals(progress, []);
});
