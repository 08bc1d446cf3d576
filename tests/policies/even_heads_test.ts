import { assert, assertEquals, assertThrows } from "@std/assert";
import { CHECKS } from "../../plugins/conformance/checks.ts";
import { checkLayers } from "../../plugins/conformance/check.ts";
import { adaKv } from "../../policies/ada_kv.ts";
import { chunkKv } from "../../policies/chunk_kv.ts";
import { compose } from "../../policies/compose.ts";
import { criticalKv } from "../../policies/critical_kv.ts";
import { duoAttention } from "../../policies/duo_attention.ts";
import { graphKv } from "../../policies/graphkv.ts";
import { judgeQ } from "../../policies/judge_q.ts";
import { knorm } from "../../policies/knorm.ts";
import { lookaheadKv } from "../../policies/lookahead_kv.ts";
import { luKv } from "../../policies/lu_kv.ts";
import { merge } from "../../policies/merge.ts";
import { perLayer } from "../../policies/per_layer.ts";
import { OptionError, type ScorerPolicy } from "../../policies/policy.ts";
import { pyramid } from "../../policies/pyramid.ts";
import { rerotate } from "../../policies/rerotate.ts";
import { restoreKv } from "../../policies/restore_kv.ts";
import { whileDecoding } from "../../policies/while_decoding.ts";
import { whileReading } from "../../policies/while_reading.ts";
import { selectKept } from "../../runtime/evict/contract.ts";
import { fakeFacts } from "./_fake_tokens.ts";

type Wrapper = (inner: ScorerPolicy) => ScorerPolicy;

const DIVIDING: Readonly<Record<string, Wrapper>> = {
  ada_kv: (inner) => adaKv({ inner, alpha: 0.3 }),
  chunk_kv: (inner) => chunkKv({ inner, chunk: 5 }),
  critical_kv: (inner) => criticalKv({ inner, first: 0.4 }),
  duo_attention: (inner) => duoAttention({ inner, sinks: 1, recent: 3 }),
  lu_kv: (inner) => luKv({ inner }),
};

const PASSING: Readonly<Record<string, Wrapper>> = {
  compose: (second) => compose({ inner: knorm(), second, factor: 3 }),
  graphkv: (inner) => graphKv({ inner, rounds: 1 }),
  merge: (inner) => merge({ inner, threshold: 0.5 }),
  per_layer: (inner) => perLayer({ inner, weights: [3, 1] }),
  pyramid: (inner) => pyramid({ inner, beta: 5 }),
  rerotate: (inner) => rerotate({ inner }),
  restore_kv: (inner) => restoreKv({ inner }),
  while_decoding: (inner) => whileDecoding({ inner, every: 8, target: 24 }),
  while_reading: (inner) => whileReading({ inner, every: 8, keep: 24 }),
};

const JUDGES = [judgeQ, lookaheadKv] as const;
const WINDOW = { window: 4 };

/** What a policy says of itself and keeps of the layers of the checks. */
async function described(policy: ScorerPolicy): Promise<unknown> {
  const { name, options, positions, merging, phases, first } = policy;
  const kept = await Promise.all(checkLayers().map((layer) => selectKept(policy, layer, 24)));
  const scores = await Promise.all(checkLayers().map((layer) => policy.score(layer)));
  return { name, options, positions, merging, phases, first: first?.factor, kept, scores };
}

for (const [name, wrap] of Object.entries(DIVIDING)) {
  Deno.test(`${name} around a judge that divides budgets is that around its even-headed one`, async () => {
    for (const judge of JUDGES) {
      const around = wrap(judge(WINDOW));
      const expected = wrap(judge({ ...WINDOW, share: "head" }));
      assert(String(around.options?.inner).includes("share=head"), String(around.options?.inner));
      assertEquals(await described(around), await described(expected));
      assertEquals(around.evenHeads, undefined);
      const [fitted, wanted] = [around, expected].map((one) => one.forModel?.(fakeFacts()));
      assertEquals((await fitted)?.options, (await wanted)?.options);
    }
  });
}

for (const [name, wrap] of Object.entries(PASSING)) {
  Deno.test(`${name} around a judge that divides budgets has itself around the even-headed one beside it`, async () => {
    for (const judge of JUDGES) {
      const around = wrap(judge(WINDOW));
      const expected = wrap(judge({ ...WINDOW, share: "head" }));
      assert(around.evenHeads);
      assertEquals(await described(around.evenHeads), await described(expected));
      assertEquals([around.evenHeads.evenHeads, expected.evenHeads], [undefined, undefined]);
      assertEquals(around.options === around.evenHeads.options, false);
      for (const divide of Object.values(DIVIDING)) {
        const [one, other] = [around, expected].map((inner) => madeBy(() => divide(inner)));
        assert(one && other);
        assertEquals([one.options, one.refusal], [other.options, other.refusal]);
      }
    }
  });
}

/** The options of a policy, or why it was refused. */
function madeBy(make: () => ScorerPolicy) {
  try {
    return { options: make().options };
  } catch (error) {
    assert(error instanceof OptionError, String(error));
    return { refusal: error.message };
  }
}

/** A policy that divides its budget, even-headed beside it or not, made for a model. */
function dividing(evenHeads?: ScorerPolicy): ScorerPolicy {
  const policy: ScorerPolicy = {
    ...{ name: "dividing", evidence: { kind: "accumulated" } },
    score: ({ kvHeads, length }) => new Float32Array(kvHeads * length),
    allocateHeads: ({ scores, keep }) => scores.map(() => keep),
    secondStage: { first: 0, rescore: (_layer, scores) => scores },
    ...(evenHeads ? { evenHeads } : {}),
  };
  return { ...policy, forModel: () => ({ ...policy, note: "made for the model" }) };
}

Deno.test("a wrapper of a policy as it is for a model has the even-headed one in itself too", async () => {
  const even: ScorerPolicy = {
    ...{ name: "dividing", options: { even: true }, evidence: { kind: "accumulated" } },
    score: ({ kvHeads, length }) => new Float32Array(kvHeads * length).fill(1),
  };
  for (const [name, wrap] of Object.entries(PASSING)) {
    const policy = wrap(dividing(even));
    const fitted = await policy.forModel?.(fakeFacts());
    assert(fitted?.note?.includes("made for the model"), name);
    for (const { evenHeads } of [policy, fitted ?? knorm()]) {
      assertEquals(evenHeads?.name, name);
      const { inner, second = inner } = evenHeads?.options ?? {};
      assertEquals(second, "dividing(even=true)");
    }
  }
});

Deno.test("wrappers that divide budgets refuse a policy that does so too and has no other", () => {
  for (const [name, wrap] of Object.entries(DIVIDING)) {
    // Whoever takes over a policy's members does not become its even-headed one.
    const spread: ScorerPolicy = { ...judgeQ(WINDOW), name: "spread" };
    for (const inner of [dividing(), rerotate({ inner: dividing() }), spread]) {
      assertThrows(
        () => wrap(inner),
        OptionError,
        `Cannot wrap '${inner.name}' in '${name}': it `,
      );
    }
  }
});

Deno.test("criticalKv() leaves a policy as it is that divides its budget in one stage", () => {
  const policy = criticalKv({ inner: judgeQ({ ...WINDOW, draft: 0 }) });
  assert(policy.allocateHeads && String(policy.options?.inner).includes("share=layer"));
  assert(String(policy.evenHeads?.options?.inner).includes("share=head"));
  assertEquals(policy.evenHeads?.allocateHeads, undefined);
});

Deno.test("the checks of a policy say where its even-headed one divides", async () => {
  const check = CHECKS.find(({ title }) => title.includes("as many of each head"));
  const policy = (threshold: number): ScorerPolicy => ({
    ...judgeQ(WINDOW),
    evenHeads: { ...judgeQ({ ...WINDOW, share: "head" }), threshold },
  });
  assertEquals(await check?.run(() => Promise.resolve(judgeQ(WINDOW))), undefined);
  const problem = await check?.run(() => Promise.resolve(policy(1e9)));
  assert(problem?.includes("give it no 'threshold'"), problem);
});
