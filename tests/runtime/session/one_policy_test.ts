import { assertEquals, assertRejects } from "@std/assert";
import type { Session } from "../../../runtime/session/session.ts";
import { smallPolicies } from "../../_small_policies.ts";
import { randomIds, tinyModel } from "../../_test_model.ts";

const CHUNK = 16;
const BUDGET = 20;

/** What reading and answering gives. */
async function outcomeOf(session: Session, ids: readonly number[]) {
  const { kept, logits } = await session.read({ ids });
  const answer = session.generate({ maxTokens: 2 });
  await Array.fromAsync(answer);
  return { kept, logits, answer: answer.ids };
}

for (const name of ["tiny-llama", "tiny-gemma3"]) {
  Deno.test(`${name}: a policy remembers nothing: not of prompts, nor of other sessions, nor of what was aborted`, async () => {
    await using test = await tinyModel(name);
    const { model } = test;
    const [first, second] = [1, 2].map((seed) =>
      randomIds(31 + seed, model.config.vocabulary, seed)
    );
    const unused = await smallPolicies();
    for (const [at, { name: kind, policy }] of (await smallPolicies()).entries()) {
      const open = (own = policy) => model.session({ policy: own, budget: BUDGET, chunk: CHUNK });
      const expected = async (ids: readonly number[] = []) => {
        await using session = open(unused[at]?.policy);
        return await outcomeOf(session, ids);
      };
      const [a, b] = [await expected(first), await expected(second)];
      await using session = open();
      for (const [ids, outcome] of [[first, a], [second, b], [second, b], [first, a]] as const) {
        assertEquals(await outcomeOf(session, ids ?? []), outcome, kind);
      }
      await using other = open();
      const both = [outcomeOf(session, second ?? []), outcomeOf(other, first ?? [])];
      assertEquals(await Promise.all(both), [b, a], `${kind}, two at a time`);
      const abort = new AbortController();
      const aborted = session.read({ ids: second ?? [] }, {
        signal: abort.signal,
        onProgress: () => abort.abort(new Error("enough")),
      });
      await assertRejects(() => aborted, Error, "enough");
      assertEquals(await outcomeOf(session, first ?? []), a, `${kind}, after an abort`);
    }
  });
}
