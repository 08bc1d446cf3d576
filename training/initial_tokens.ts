import { existsSync } from "node:fs";
import { createPrng, type Prng } from "../policies/_random.ts";
import type { ModelFacts } from "../policies/policy.ts";
import type { Checkpoint } from "../runtime/checkpoint/checkpoint.ts";
import { readRows } from "../runtime/checkpoint/read_rows.ts";
import { tensorOf } from "../runtime/checkpoint/tensor_of.ts";
import { resolveSoftTokens } from "../runtime/soft_tokens/read.ts";
import type { Tokenizer } from "../runtime/tokenizer/tokenizer.ts";
import { TrainingError } from "./errors.ts";

/** What initial embeddings are made from. */
export interface InitialRequest {
  /** `random`, `words`, or the path of a file of soft tokens. */
  readonly initial: string;
  readonly tokens: number;
  readonly seed: number;
  readonly checkpoint: Checkpoint;
  readonly tokenizer: Tokenizer;
  readonly facts: ModelFacts;
}

/** What a training starts from. */
export interface InitialEmbeddings {
  /** `[tokens, hidden]`. */
  readonly embeddings: Float32Array;
  /** What the user may have expected otherwise. */
  readonly note?: string;
}

/**
 * The embeddings that training starts from, `[tokens, hidden]`: random numbers of the magnitude of the
 * model's embeddings, the embeddings of random words, or those of a file.
 *
 * @throws {TrainingError} If a file holds another number of tokens, or the vocabulary too few words.
 * @throws {CheckpointError} If a file is unusable, or of another model.
 */
export async function initialEmbeddings(request: InitialRequest): Promise<InitialEmbeddings> {
  const { initial, tokens, seed, checkpoint, facts } = request;
  const { hidden } = checkpoint.config;
  const random = createPrng(seed, 0x1417);
  if (initial === "random") {
    const reach = Math.sqrt(3) * facts.embeddingRms;
    const length = tokens * hidden;
    return { embeddings: Float32Array.from({ length }, () => (2 * random() - 1) * reach) };
  }
  if (initial === "words") return { embeddings: wordEmbeddings(request, random) };
  if (!URL.canParse(initial) && !existsSync(initial)) {
    throw new TrainingError(
      `Cannot start from ${initial}: there is no file of that name; give random, words or the path ` +
        "of a file of soft tokens",
    );
  }
  const { count, embeddings, adapters } = await resolveSoftTokens(
    () => facts.readSoftTokens(initial),
    facts,
  );
  if (count !== tokens) {
    throw new TrainingError(
      `Cannot start from ${initial}: it holds ${count} soft tokens and the run trains ${tokens}; ` +
        `set 'tokens' to ${count} or give another file`,
      { options: ["tokens"] },
    );
  }
  const note = `the adapters of ${initial} are not used, only its soft tokens`;
  return { embeddings: embeddings.slice(), ...(adapters ? { note } : {}) };
}

// Tries before a vocabulary is held to have no words: byte vocabularies have none.
const TRIES = 200_000;

function wordEmbeddings(
  { tokens, checkpoint, tokenizer }: InitialRequest,
  random: Prng,
): Float32Array {
  const { hidden, vocabulary, embeddingScale } = checkpoint.config;
  const matrix = tensorOf(checkpoint, checkpoint.family.embedding);
  const embeddings = new Float32Array(tokens * hidden);
  const chosen = new Set<number>();
  for (let tries = 0; chosen.size < tokens && tries < TRIES; tries++) {
    const id = Math.floor(random() * vocabulary);
    if (chosen.has(id) || !/^\s?\p{L}{3,}$/u.test(tokenizer.decode([id]))) continue;
    // Soft tokens enter the first layer as they stand, where ids come scaled.
    const row = readRows(matrix, { from: id, to: id + 1 }).map((value) => value * embeddingScale);
    embeddings.set(row, chosen.size * hidden);
    chosen.add(id);
  }
  if (chosen.size === tokens) return embeddings;
  throw new TrainingError(
    `Cannot start from words: the vocabulary has only ${chosen.size} of the ${tokens} wanted; ` +
      "set 'initial' to random",
    { options: ["initial"] },
  );
}
