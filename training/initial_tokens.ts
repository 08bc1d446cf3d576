import { createPrng, type Prng } from "../policies/_random.ts";
import type { SoftTokens } from "../policies/policy.ts";
import type { Checkpoint } from "../runtime/checkpoint/checkpoint.ts";
import { readRows } from "../runtime/checkpoint/read_rows.ts";
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
  /** Root mean square of the model's embeddings. */
  readonly embeddingRms: number;
  readonly readSoftTokens: (path: string) => Promise<SoftTokens>;
}

/**
 * The embeddings that training starts from, `[tokens, hidden]`: random numbers of the magnitude of the
 * model's embeddings, the embeddings of random words, or those of a file.
 *
 * @throws {TrainingError} If a file holds another number or size of tokens.
 */
export async function initialEmbeddings(request: InitialRequest): Promise<Float32Array> {
  const { initial, tokens, seed, checkpoint, embeddingRms } = request;
  const { hidden } = checkpoint.config;
  const random = createPrng(seed, 0x1417);
  if (initial === "random") {
    const reach = Math.sqrt(3) * embeddingRms;
    return Float32Array.from({ length: tokens * hidden }, () => (2 * random() - 1) * reach);
  }
  if (initial === "words") return wordEmbeddings(request, random);
  const given = await request.readSoftTokens(initial);
  if (given.count !== tokens || given.hidden !== hidden) {
    throw new TrainingError(
      `Cannot start from ${initial}: it holds ${given.count} tokens of size ${given.hidden}, ` +
        `the run trains ${tokens} of size ${hidden}`,
    );
  }
  return given.embeddings.slice();
}

// Tries before a vocabulary is held to have no words: byte vocabularies have none.
const TRIES = 200_000;

function wordEmbeddings(
  { tokens, checkpoint, tokenizer }: InitialRequest,
  random: Prng,
): Float32Array {
  const { hidden, vocabulary } = checkpoint.config;
  const matrix = checkpoint.tensors.get("model.embed_tokens.weight");
  if (!matrix) throw new TrainingError(`Cannot find the embeddings in ${checkpoint.path}`);
  const embeddings = new Float32Array(tokens * hidden);
  const chosen = new Set<number>();
  for (let tries = 0; chosen.size < tokens && tries < TRIES; tries++) {
    const id = Math.floor(random() * vocabulary);
    if (chosen.has(id) || !/^\s?\p{L}{3,}$/u.test(tokenizer.decode([id]))) continue;
    embeddings.set(readRows(matrix, { from: id, to: id + 1 }), chosen.size * hidden);
    chosen.add(id);
  }
  if (chosen.size === tokens) return embeddings;
  throw new TrainingError(
    `Cannot start from words: the vocabulary has only ${chosen.size} of the ${tokens} wanted; ` +
      "start from random embeddings",
  );
}
