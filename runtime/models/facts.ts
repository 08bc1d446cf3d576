import { createHash } from "node:crypto";
import type { ModelFacts } from "../../policies/policy.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { readRows } from "../checkpoint/read_rows.ts";
import { tensorOf } from "../checkpoint/tensor_of.ts";
import { CheckpointError } from "../errors.ts";
import { readModelFile } from "../model_files/file.ts";
import { readSoftTokens } from "../soft_tokens/read.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { turnEnd } from "../tokenizer/turn_end.ts";

/** Enough rows to know their size; reading all of a large vocabulary would take seconds. */
const SAMPLED_ROWS = 1024;

/**
 * What a policy may know of a checkpoint.
 *
 * @param tokenizer Absent: nothing is known of texts.
 * @throws {CheckpointError} If its files cannot be read.
 *
 * @example
 * ```ts
 * import { openCheckpoint } from "../checkpoint/open.ts";
 * import { modelFacts } from "./facts.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = new URL("../../tests/fixtures/tiny-llama", import.meta.url).pathname;
 * const { hidden, layers } = await modelFacts(await openCheckpoint(folder));
 * assertEquals([hidden, layers], [64, 3]);
 * ```
 */
export async function modelFacts(
  checkpoint: Checkpoint,
  tokenizer?: Tokenizer,
): Promise<ModelFacts> {
  const { hidden, layers, vocabulary, embeddingScale } = checkpoint.config;
  const embedding = tensorOf(checkpoint, checkpoint.family.embedding);
  const rows = readRows(embedding, { to: Math.min(SAMPLED_ROWS, vocabulary) });
  const squares = rows.reduce((sum, value) => sum + value * value, 0);
  return {
    hidden,
    layers,
    fingerprint: await checkpoint.fingerprint(),
    identity: modelIdentity(checkpoint),
    // Soft tokens enter the first layer as they stand, where ids come scaled.
    embeddingRms: embeddingScale * Math.sqrt(squares / rows.length),
    readSoftTokens,
    readModelFile,
    ...(tokenizer ? textFacts(tokenizer) : {}),
  };
}

/** What is known of texts: nothing where only ids can be given. */
function textFacts(tokenizer: Tokenizer): Pick<ModelFacts, "encode" | "turnEnd"> {
  try {
    const encode = (text: string) => tokenizer.encode(text, { bos: false });
    return { turnEnd: turnEnd(tokenizer), encode };
  } catch (error) {
    if (error instanceof CheckpointError) return {};
    throw error;
  }
}

/**
 * SHA-256 over the norms, which every format stores unrounded: equal for a folder of bfloat16 and a
 * quantised GGUF file of one model, different for models that were trained apart. A fine-tuned copy
 * that left the norms alone counts as the same model.
 */
function modelIdentity({ tensors }: Checkpoint): string {
  const hash = createHash("sha256");
  for (const name of [...tensors.keys()].filter((key) => key.endsWith("norm.weight")).sort()) {
    const tensor = tensors.get(name);
    if (tensor) hash.update(`${name}\n`).update(new Uint8Array(readRows(tensor).buffer));
  }
  return hash.digest("hex");
}
