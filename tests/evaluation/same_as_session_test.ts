import { assert, assertEquals } from "@std/assert";
import { parsePolicies } from "../../evaluation/policy_list.ts";
import { readEvidence } from "../../evaluation/read_evidence.ts";
import type { Policy } from "../../policies/policy.ts";
import { createSession } from "../../runtime/session/open.ts";
import { globalLayers } from "../../runtime/checkpoint/layer_kinds.ts";
import { openGolden } from "../runtime/_golden_file.ts";
import { smallPolicies } from "../_small_policies.ts";
import { tinyModel } from "../_test_model.ts";
import { wordTokenizer } from "../_word_tokenizer.ts";

/** Wrappers around wrappers, and policies whose defaults are too large for a short answer. */
const NESTED = [
  "while_decoding(snapkv(window=8,kernel=3),every=4,target=20)",
  "while_decoding(h2o,every=5)",
  "while_decoding(ada_kv(h2o),every=4,target=16)",
  "while_decoding(judge_q(window=8),every=8)",
  "while_decoding(expected_attention,every=6)",
  "while_decoding(oracle(tokens=3),every=6)",
  "while_decoding(lookahead_q_cache(window=8,kernel=3,steps=4),every=6)",
  "while_decoding(rerotate(knorm),every=4)",
  "while_decoding(compose(lagkv(lag=8),snapkv(window=8,kernel=3)),every=6)",
  "rerotate(ada_kv(snapkv(window=8,kernel=3)))",
  "compose(streaming_llm,ada_kv(snapkv(window=8,kernel=3)),factor=2)",
  "pyramid(critical_kv(ada_kv(snapkv(window=8,kernel=3))))",
  "lookahead_q_cache(window=6,kernel=3,steps=3,plus=true)",
  "oracle(tokens=5)",
  "while_reading(snapkv(window=8,kernel=3),every=8,keep=30)",
  "while_reading(rerotate(h2o),every=7,keep=26)",
  "while_reading(ada_kv(snapkv(window=8,kernel=3)),every=16)",
  "while_reading(expected_attention,every=9,keep=24)",
  "while_decoding(while_reading(h2o,every=8,keep=32),every=5)",
  "while_reading(while_decoding(compose(h2o,judge_q(window=8)),every=6),every=8,keep=32)",
];

const STEPS = 20;

/** What an evaluation and a session are compared on: every policy and wrapper of the registry. */
async function allPolicies(): Promise<readonly (readonly [label: string, policy: Policy])[]> {
  return [
    ...(await smallPolicies()).map(({ name, policy }) => [name, policy] as const),
    ...(await parsePolicies(NESTED.join())).map(({ label, policy }) => [label, policy] as const),
  ];
}

for (const name of ["tiny-llama31", "tiny-qwen3", "tiny-gemma3", "tiny-mistral-window"]) {
  Deno.test(`an evaluation keeps and answers what a session does: ${name}`, async () => {
    await using tiny = await tinyModel(name);
    const { model } = tiny;
    // No token ends an answer: a session leaves out the one that does, an evaluation shows it.
    const engine = { ...model.engine, config: { ...model.config, eosIds: [] } };
    const source = {
      engine,
      tokenizer: wordTokenizer(model.config.vocabulary),
      facts: model.facts,
      now: () => 0,
    };
    const ids = openGolden(name).integers("input_ids");
    const policies = await allPolicies();
    const evidence = await readEvidence({
      engine,
      facts: await model.facts(),
      ids,
      policies: policies.map(([, policy]) => policy),
      answerTokens: STEPS,
    });
    using _owned = evidence;
    let whileDecoding = 0;
    // The larger budget keeps the whole prompt: only an answer is evicted from it.
    for (const budget of [24, ids.length]) {
      for (const [label, policy] of policies) {
        await using session = createSession(source, { policy, budget });
        const reading = await session.read({ ids });
        const answer = session.generate({ maxTokens: STEPS });
        for await (const _ of answer);
        whileDecoding += session.stats().decodeEvictions;
        const kept = await evidence.keep(policy, budget);
        assertEquals(kept, reading.kept, `${label} at ${budget} keeps other tokens`);
        const { result, bytes } = await evidence.answerFrom(kept, STEPS, { policy, budget });
        assertEquals(result, answer.ids, `${label} at ${budget} answers otherwise`);
        // A copy has no memory to spare in its windows.
        const windows = model.config.layerKinds.some(({ window }) => window !== undefined);
        if (!windows && budget < ids.length && policy.evicts !== false) {
          assertEquals(bytes, reading.bytes.after, `${label} takes other memory`);
        }
      }
    }
    const evicted = globalLayers(model.config).length > 0;
    assert(
      evicted ? whileDecoding > 40 : whileDecoding === 0,
      `only ${whileDecoding} evictions while an answer was written`,
    );
  });
}
