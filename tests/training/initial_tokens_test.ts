import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { openCheckpoint } from "../../runtime/checkpoint/open.ts";
import { readRows } from "../../runtime/checkpoint/read_rows.ts";
import { modelFacts } from "../../runtime/models/facts.ts";
import type { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";
import { TrainingError } from "../../training/errors.ts";
import { initialEmbeddings, type InitialRequest } from "../../training/initial_tokens.ts";
import { initialTensors } from "../../training/trainable.ts";
import { fixture } from "../_test_model.ts";
import { SMALL } from "./_run.ts";

/** Every third token is a word. */
const tokenizer = {
  decode: ([id = 0]: readonly number[]) => id % 3 === 0 ? " word" : id % 3 === 1 ? "##" : "ab1",
} as Partial<Tokenizer> as Tokenizer;

async function requestOf(changes: Partial<InitialRequest> = {}): Promise<InitialRequest> {
  const checkpoint = await openCheckpoint(fixture("tiny-llama"));
  const facts = await modelFacts(checkpoint);
  return { initial: "random", tokens: 8, seed: 0, checkpoint, tokenizer, facts, ...changes };
}

Deno.test("initialEmbeddings() draws random numbers of the magnitude of the model's embeddings", async () => {
  const request = await requestOf({ tokens: 64 });
  const { embeddings } = await initialEmbeddings(request);
  assertEquals(embeddings.length, 64 * 64);
  const rms = Math.sqrt(embeddings.reduce((sum, value) => sum + value ** 2, 0) / embeddings.length);
  const ratio = rms / request.facts.embeddingRms;
  assert(ratio > 0.97 && ratio < 1.03, `${ratio}`);
  assertEquals((await initialEmbeddings(request)).embeddings, embeddings);
  assertNotEquals((await initialEmbeddings({ ...request, seed: 1 })).embeddings, embeddings);
});

Deno.test("initialEmbeddings() takes the embeddings of different words", async () => {
  const request = await requestOf({ initial: "words" });
  const { embeddings } = await initialEmbeddings(request);
  const matrix = request.checkpoint.tensors.get("model.embed_tokens.weight");
  assert(matrix);
  const { vocabulary } = request.checkpoint.config;
  const rows = new Map(
    Array.from(
      { length: vocabulary },
      (_, id) => [readRows(matrix, { from: id, to: id + 1 }).join(), id],
    ),
  );
  const ids = Array.from(
    { length: 8 },
    (_, token) => rows.get(embeddings.subarray(token * 64, (token + 1) * 64).join()),
  );
  assertEquals(new Set(ids).size, 8);
  assert(ids.every((id) => id !== undefined && id % 3 === 0), `${ids}`);
  assertNotEquals((await initialEmbeddings({ ...request, seed: 1 })).embeddings, embeddings);
});

Deno.test("initialEmbeddings() scales words as the model scales the embeddings of ids", async () => {
  const plain = await requestOf({ initial: "words" });
  const { checkpoint } = plain;
  const config = { ...checkpoint.config, embeddingScale: 8 };
  const scaled = { ...plain, checkpoint: { ...checkpoint, config } };
  const [before, after] = [await initialEmbeddings(plain), await initialEmbeddings(scaled)];
  assertEquals(after.embeddings, before.embeddings.map((value) => 8 * value));
  const [facts, scaledFacts] = [plain.facts, await modelFacts(scaled.checkpoint)];
  assertEquals(scaledFacts.embeddingRms, 8 * facts.embeddingRms);
});

Deno.test("initialEmbeddings() says when a vocabulary has too few words", async () => {
  const request = await requestOf({
    initial: "words",
    tokenizer: { ...tokenizer, decode: () => "" },
  });
  const error = await assertRejects(() => initialEmbeddings(request), TrainingError);
  assertEquals(
    error.message,
    "Cannot start from words: the vocabulary has only 0 of the 8 wanted; set 'initial' to random",
  );
});

Deno.test("initialTensors() starts adapters such that they do nothing", () => {
  const sizes = { heads: 2, kvHeads: 1, headDim: 4, hidden: 8, intermediate: 16 };
  const model = { ...sizes, layers: { length: 2 } };
  const embeddings = Float32Array.of(1, 2);
  assertEquals(initialTensors(embeddings, model, SMALL), { soft_tokens: embeddings });
  const adapters = { rank: 3, projections: ["q", "down"] as const, rate: 0.001 };
  const { soft_tokens, ...pairs } = initialTensors(embeddings, model, { ...SMALL, adapters });
  assertEquals(soft_tokens, embeddings);
  const lengths = Object.fromEntries(
    Object.entries(pairs).map(([name, { length }]) => [name, length]),
  );
  assertEquals(lengths, {
    "adapter.0.q.a": 8 * 3,
    "adapter.0.q.b": 3 * 8,
    "adapter.0.down.a": 16 * 3,
    "adapter.0.down.b": 3 * 8,
    "adapter.1.q.a": 8 * 3,
    "adapter.1.q.b": 3 * 8,
    "adapter.1.down.a": 16 * 3,
    "adapter.1.down.b": 3 * 8,
  });
  for (const [name, data] of Object.entries(pairs)) {
    const zeros = data.filter((value) => value === 0).length;
    assertEquals(zeros, name.endsWith(".b") ? data.length : 0, name);
  }
});
