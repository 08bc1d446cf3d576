import { assert, assertEquals } from "@std/assert";
import { adaKv } from "../../../policies/ada_kv.ts";
import { oncePerModel } from "../../../policies/_model_file.ts";
import { compose } from "../../../policies/compose.ts";
import { knorm } from "../../../policies/knorm.ts";
import type { LayerView, Policy, ScorerPolicy } from "../../../policies/policy.ts";
import { whileDecoding } from "../../../policies/while_decoding.ts";
import { readEvidence } from "../../../evaluation/read_evidence.ts";
import { randomIds, tinyModel } from "../../_test_model.ts";

const IDS = randomIds(40, 320);

/** Keeps the first tokens, but for a model the last ones. */
function turning(): { readonly policy: ScorerPolicy; readonly asked: string[] } {
  const asked: string[] = [];
  const scoreBy = (sign: number) => ({ kvHeads, length }: LayerView) =>
    Float32Array.from({ length: kvHeads * length }, (_, at) => sign * (at % length));
  const base = { name: "turning", evidence: { kind: "none" } } as const;
  const policy: ScorerPolicy = {
    ...base,
    score: scoreBy(-1),
    forModel: oncePerModel(({ fingerprint }) => {
      asked.push(fingerprint);
      return { ...base, score: scoreBy(1), note: "made for it" };
    }),
  };
  return { policy, asked };
}

const LAST = Int32Array.from({ length: 10 }, (_, index) => 30 + index);

Deno.test("a policy judges as it is for the model, alone, wrapped and in a row, and is made once", async () => {
  await using test = await tinyModel("tiny-llama");
  const { model } = test;
  const { fingerprint } = await model.facts();
  const { policy, asked } = turning();
  const policies: readonly Policy[] = [
    policy,
    whileDecoding({ inner: policy }),
    adaKv({ inner: policy, alpha: 1 }),
    compose({ inner: policy, second: policy, factor: 2 }),
    whileDecoding({ inner: compose({ inner: policy, second: policy }) }),
  ];
  for (const one of policies) {
    await using session = model.session({ policy: one, budget: 10 });
    for (const { kept } of [await session.read({ ids: IDS }), await session.read({ ids: IDS })]) {
      for (const head of kept.flat()) assertEquals(head, LAST, one.name);
    }
    assert(session.stats().notes.some((note) => note.startsWith(`${one.name}: made for it`)));
  }
  assertEquals(asked, [fingerprint]);
});

Deno.test("a policy that is not asked to evict says nothing of the model", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = test.model.session({ policy: turning().policy, budget: 64 });
  await session.read({ ids: IDS });
  assert(!session.stats().notes.some((note) => note.includes("made for it")));
});

Deno.test("an evaluation judges by the policy as it is for the model", async () => {
  await using test = await tinyModel("tiny-llama");
  const { model: { engine, facts } } = test;
  const { policy } = turning();
  const inner = compose({ inner: knorm(), second: policy, factor: 4 });
  using evidence = await readEvidence({
    ...{ engine, ids: IDS, policies: [policy, inner], answerTokens: 2 },
    facts: await facts(),
  });
  for (const one of [policy, inner]) {
    for (const head of (await evidence.keep(one, 10)).flat()) {
      if (one === policy) assertEquals(head, LAST);
      assertEquals(head.at(-1), 39);
    }
  }
});
