import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { h2o, type Policy, snapKv } from "../../policies/mod.ts";
import { loadModel } from "../../runtime/model.ts";
import { readTensor } from "../../runtime/checkpoint/safetensors.ts";
import { smollm2 } from "../_smollm2.ts";
import { fixture } from "../_test_model.ts";
import { rowsOf } from "./_golden_file.ts";

interface Generated {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly ids: readonly number[];
  readonly top10: readonly { readonly id: number; readonly logit: number }[];
  readonly greedy: readonly number[];
}

const generations: readonly Generated[] = JSON.parse(
  Deno.readTextFileSync(fixture("smollm2/generation.json")),
);
const END = 2;
/** Tokens per KV head that the reference kept. */
const KEPT = 127;

async function answer(
  model: Awaited<ReturnType<typeof loadModel>>,
  { messages, greedy }: Generated,
): Promise<readonly number[]> {
  const { full } = await import("../../policies/full.ts");
  await using session = model.session({ policy: full() });
  const generation = session.generate({ messages }, { maxTokens: greedy.length });
  for await (const _ of generation);
  return generation.ids;
}

Deno.test("SmolLM2 in fp32 gives the reference's prompts, logits and greedy answers", async () => {
  await using model = await loadModel(await smollm2(), { precision: "fp32" });
  const { full } = await import("../../policies/full.ts");
  for (const generation of generations) {
    assertEquals(model.tokenizer.encodeChat(generation.messages), [...generation.ids]);
    await using session = model.session({ policy: full() });
    const { logits } = await session.read({ ids: generation.ids });
    const worst = Math.max(
      ...generation.top10.map(({ id, logit }) => Math.abs((logits[id] ?? NaN) - logit)),
    );
    assert(worst < 1e-2, `a logit is off by ${worst}`);
    const wanted = generation.greedy.filter((id) => id !== END);
    assertEquals([...await answer(model, generation)], wanted);
  }
});

Deno.test("SmolLM2 keeps at least 99 % of the tokens that the reference keeps", async () => {
  await using model = await loadModel(await smollm2(), { precision: "fp32" });
  const ids = generations.at(-1)?.ids ?? [];
  const contestants: readonly (readonly [string, Policy])[] = [
    ["snapkv", snapKv({ window: 32, kernel: 7, pooling: "avg" })],
    ["h2o", h2o({ recent: 0, normalize: "visible" })],
  ];
  for (const [name, policy] of contestants) {
    const { data, shape: [layers = 0, heads = 0] } = readTensor(
      fixture("smollm2/kept.safetensors"),
      `${name}.kept`,
    );
    const expected = rowsOf([...data].map(Number), layers * heads);
    await using session = model.session({ policy, budget: KEPT });
    const { kept } = await session.read({ ids });
    let agreed = 0;
    kept.flat().forEach((indices, head) => {
      const wanted = new Set(expected[head]);
      assertEquals(indices.length, KEPT);
      agreed += indices.filter((index) => wanted.has(index)).length;
    });
    const share = agreed / (layers * heads * KEPT);
    console.log(`${name}: ${(100 * share).toFixed(2)} % of the kept tokens agree`);
    assertGreaterOrEqual(share, 0.99);
  }
});

Deno.test("SmolLM2 at its default precision answers as in fp32 where the choice is clear", async () => {
  await using model = await loadModel(await smollm2());
  assertEquals(model.precision, "int4");
  const [first] = generations;
  assert(first);
  assertEquals(
    model.tokenizer.decode(await answer(model, first)),
    "The capital of France is Paris.",
  );
});
