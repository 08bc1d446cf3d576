import { assert, assertEquals } from "@std/assert";
import { adaKv } from "../../../policies/ada_kv.ts";
import { full } from "../../../policies/full.ts";
import { h2o } from "../../../policies/h2o.ts";
import type { Policy, ScorerPolicy } from "../../../policies/policy.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import { whileDecoding } from "../../../policies/while_decoding.ts";
import type { Engine } from "../../../runtime/engine/engine.ts";
import type { Model } from "../../../runtime/model.ts";
import { createSession } from "../../../runtime/session/open.ts";
import { randomIds, tinyModel } from "../../_test_model.ts";
import { wordTokenizer } from "../../_word_tokenizer.ts";

const IDS = randomIds(60, 320);

/** What a session asks of the engine while it reads and answers, member by member. */
async function askedOf({ engine, facts }: Model, policy: Policy): Promise<readonly string[]> {
  const config = { ...engine.config, eosIds: [] };
  const asked: string[] = [];
  const watched: Engine = {
    ...engine,
    config,
    advance(sequence, input) {
      const kinds = Object.entries(input).filter(([, value]) => value !== undefined);
      asked.push(`${input.ids?.length} tokens: ${kinds.map(([kind]) => kind).sort().join()}`);
      return engine.advance(sequence, input);
    },
    views(...given) {
      asked.push("a layer is shown");
      return engine.views(...given);
    },
  };
  const parts = { engine: watched, tokenizer: wordTokenizer(config.vocabulary), facts };
  await using session = createSession({ ...parts, now: () => 0 }, { policy, budget: 500 });
  await session.read({ ids: IDS });
  const read = asked.splice(0);
  for await (const _ of session.generate({ maxTokens: 40 }));
  assert(asked.length >= 39 && read.length > 0);
  assertEquals(session.stats().decodeEvictions, 0);
  return asked;
}

Deno.test("pitfall 22, slow bookkeeping: where nothing is evicted, an answer's steps are those of the whole cache", async () => {
  await using test = await tinyModel("tiny-llama31");
  const scored: string[] = [];
  const counted = (inner: ScorerPolicy): ScorerPolicy => ({
    ...inner,
    score(layer) {
      scored.push(inner.name);
      return inner.score(layer);
    },
  });
  const plain = await askedOf(test.model, full());
  for (
    const policy of [
      counted(snapKv({ window: 8 })),
      counted(h2o()),
      adaKv({ inner: counted(snapKv({ window: 8 })) }),
      whileDecoding({ inner: counted(snapKv({ window: 8 })), every: 4, target: 480 }),
    ]
  ) {
    assertEquals(await askedOf(test.model, policy), plain, policy.name);
  }
  assertEquals(scored, []);
});
