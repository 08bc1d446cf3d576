import { assert, assertEquals } from "@std/assert";
import { expectedAttention } from "../../policies/expected_attention.ts";
import { h2o } from "../../policies/h2o.ts";
import { keyDiff } from "../../policies/keydiff.ts";
import { knorm } from "../../policies/knorm.ts";
import { lagKv } from "../../policies/lagkv.ts";
import type { Policy } from "../../policies/policy.ts";
import { pyramidKv } from "../../policies/pyramidkv.ts";
import { snapKv } from "../../policies/snapkv.ts";
import { streamingLlm } from "../../policies/streaming_llm.ts";
import { tova } from "../../policies/tova.ts";
import { globalLayers } from "../../runtime/checkpoint/layer_kinds.ts";
import { readPrompt } from "../../runtime/evict/read.ts";
import type { Model } from "../../runtime/model.ts";
import type { Session, SessionOptions } from "../../runtime/session/session.ts";
import { assertClose } from "../_close.ts";
import { probePolicy } from "../_probe_policy.ts";
import { newSequence } from "../_test_model.ts";
import type { Golden } from "./_golden_file.ts";

/** What goldens are checked on: a model, wherever it runs. */
export type GoldenModel = Pick<Model, "name" | "engine" | "facts">;

/** Policies whose kept tokens the goldens have. */
export const GOLDEN_POLICIES: readonly Policy[] = [
  snapKv({ window: 8, kernel: 5, pooling: "avg" }),
  h2o({ recent: 0, normalize: "visible" }),
  knorm(),
  keyDiff(),
  lagKv({ sinks: 4, lag: 16 }),
  pyramidKv({ window: 4, kernel: 5, pooling: "avg", beta: 5, variant: "kvpress" }),
  tova(),
  expectedAttention(),
  streamingLlm({ sinks: 4 }),
];

/** The reference library does not decode on layers of different lengths. */
const NOT_DECODED = new Set(["pyramidkv"]);

/** Relative to the threshold: nearer scores are a tie, which float noise decides. */
const TIE = 1e-5;

/** Checks that a policy keeps what a golden keeps, ties aside, and that decoding goes on alike. */
export async function checkPolicy(
  model: GoldenModel,
  golden: Golden,
  policy: Policy,
): Promise<void> {
  const { ties, logits } = await checkKept(model, golden, policy);
  // With a tie the sets differ, and so does the text: then the golden's own sets are decoded on.
  const same = ties === 0
    ? logits
    : (await decodeEvicted(model, golden, goldenPolicy(golden, policy.name))).logits;
  if (NOT_DECODED.has(policy.name)) return;
  const expected = golden.floats(`${policy.name}.decode_logits`);
  assertClose(same, expected, { absolute: 1e-3 }, `${policy.name}.decode_logits`);
}

/** Checks that a policy keeps what a golden keeps in the global layers, ties aside. */
export async function checkKept(model: GoldenModel, golden: Golden, policy: Policy) {
  const decoded = await decodeEvicted(model, golden, policy);
  const { kept } = decoded;
  let ties = 0;
  for (const layer of globalLayers(model.engine.config)) {
    const heads = kept[layer] ?? [];
    const scores = golden.floats(`${policy.name}.scores.${layer}`);
    for (const [head, expected] of golden.kept(policy.name, layer).entries()) {
      const got = [...heads[head] ?? []];
      assertEquals(got.length, expected.length);
      const score = (token: number) => scores[head * golden.settings.tokens + token] ?? NaN;
      const threshold = Math.min(...expected.map(score));
      const different = [
        ...expected.filter((token) => !got.includes(token)),
        ...got.filter((token) => !expected.includes(token)),
      ];
      for (const token of different) {
        assert(
          Math.abs(score(token) - threshold) <= TIE * Math.abs(threshold),
          `${policy.name}, layer ${layer}, head ${head}: token ${token} is no tie`,
        );
      }
      ties += different.length / 2;
    }
  }
  const total = kept.flat().reduce((sum, indices) => sum + indices.length, 0);
  console.log(`${policy.name} on ${model.name.split("/").at(-1)}: ${ties} ties in ${total} kept`);
  return { ...decoded, ties };
}

/** Keeps exactly what a golden keeps. */
function goldenPolicy(golden: Golden, name: string): Policy {
  return {
    name,
    evidence: { kind: "none" },
    select: ({ layer }) => golden.kept(name, layer).map((head) => Int32Array.from(head)),
  };
}

/** Evicts the golden's prompt and decodes its first four tokens on what is left. */
async function decodeEvicted(
  { engine, facts }: GoldenModel,
  { integers, settings }: Golden,
  policy: Policy,
): Promise<{ kept: readonly (readonly Int32Array[])[]; logits: number[] }> {
  const ids = integers("input_ids");
  const sequence = newSequence(engine);
  using cache = sequence.cache;
  const { kept } = await readPrompt({
    engine,
    sequence,
    ids,
    policy,
    budget: settings.kept,
    facts: await facts(),
    chunk: 29,
    scores: false,
    now: () => 0,
  });
  const logits: number[] = [];
  for (const id of integers("greedy").slice(0, 4)) {
    logits.push(...(await engine.advance(sequence, { ids: [id] })).logits);
  }
  assertEquals(sequence.position, ids.length + 4);
  for (const layer of globalLayers(engine.config)) {
    assertEquals(cache.length(layer), (kept[layer]?.[0]?.length ?? 0) + 4);
  }
  return { kept, logits };
}

/** Checks that soft tokens and answers are shown the golden attention. */
export async function checkJudges(
  golden: Golden,
  hidden: number,
  open: (options: SessionOptions) => Session,
): Promise<void> {
  const embeddings = golden.floats("judge_q.soft");
  const tokens = { count: embeddings.length / hidden, hidden, embeddings, trained: true };
  const soft = probePolicy({ kind: "soft", tokens: () => tokens });
  const response = probePolicy({
    kind: "given",
    queries: { kind: "tokens", ids: golden.integers("judge_q.response") },
  });
  for (const [policy, tensor] of [[soft, "soft"], [response, "response"]] as const) {
    await using session = open({ policy, budget: 24, chunk: 24 });
    await session.read({ ids: golden.integers("input_ids") });
    const attention = policy.attention.flatMap((layer) => [...layer]);
    const expected = golden.floats(`judge_q.attention_${tensor}`);
    assertClose(attention, expected, { absolute: 1e-5 }, `attention_${tensor}`);
  }
}
