import { assert, assertEquals } from "@std/assert";
import type { Policy } from "../../../../policies/policy.ts";
import type { Session } from "../../../../runtime/session/session.ts";
import { assertClose } from "../../../_close.ts";
import { twinModel } from "../../../_device_model.ts";
import { smallPolicies } from "../../../_small_policies.ts";
import { randomIds, TINY } from "../../../_test_model.ts";

const BUDGET = 20;
const IDS = 60;
const ANSWER = 5;

async function answered(session: Session): Promise<readonly number[]> {
  const generation = session.generate({ maxTokens: ANSWER });
  for await (const _ of generation);
  return generation.ids;
}

/** Policies differ in what they need of an engine, models in their shapes: each meets each kind. */
const policies = await smallPolicies();
for (const [index, { name, policy }] of policies.entries()) {
  const model = TINY[index % TINY.length] ?? "tiny-llama";
  Deno.test(`on a device, ${name} keeps the tokens that it keeps in main memory (${model})`, async () => {
    await using twin = await twinModel(model);
    const ids = randomIds(IDS, twin.host.model.config.vocabulary, 5);
    const options = { policy, budget: BUDGET, chunk: 17 };
    await using here = twin.host.model.session(options);
    await using there = twin.session(options);
    const [expected, found] = [await here.read({ ids }), await there.read({ ids })];
    assertClose(found.logits, expected.logits, { absolute: 1e-3 }, "logits");
    assertEquals(found.kept, expected.kept);
    assert(policy.evicts === false || found.bytes.after < found.bytes.before);
    assertEquals(await answered(there), await answered(here));
    assertEquals(there.stats().held, here.stats().held);
    assertEquals(there.stats().decodeEvictions, here.stats().decodeEvictions);
  });
}

Deno.test("on a device, a policy without a kernel is shown copies of what it asks for", async () => {
  await using twin = await twinModel("tiny-llama31");
  const ids = randomIds(IDS, twin.host.model.config.vocabulary, 6);
  const policy: Policy = {
    name: "odd_sums",
    evidence: { kind: "window", size: 6 },
    async score(layer) {
      const { kvHeads, headDim, length } = layer;
      const [keys, values] = [await layer.keys(), await layer.values()];
      const paid = await layer.groupAttention();
      const norms = await layer.outputNorms();
      const cosines = await layer.similarity(1, Int32Array.of(3, 7));
      return Float32Array.from({ length: kvHeads * length }, (_, index) => {
        const [head, token] = [Math.floor(index / length), index % length];
        const at = (token * kvHeads + head) * headDim;
        return (keys[at] ?? NaN) + (values[at + 1] ?? NaN) + (paid[index] ?? NaN) +
          (norms[index] ?? NaN) + (cosines[length + token] ?? NaN);
      });
    },
  };
  const options = { policy, budget: BUDGET };
  await using here = twin.host.model.session(options);
  await using there = twin.session(options);
  const [expected, found] = [
    await here.read({ ids }, { scores: true }),
    await there.read({ ids }, { scores: true }),
  ];
  for (const [layer, scores] of expected.scores.entries()) {
    assertClose(found.scores[layer] ?? [], scores, { absolute: 1e-4 }, `layer ${layer}`);
  }
  assertEquals(found.kept, expected.kept);
  assert(found.copied > 0);
  assertEquals(expected.copied, 0);
});
