import type { MaybePromise, ModelFacts, SoftTokens } from "../../policies/policy.ts";
import { readFloats, readSafetensors } from "../checkpoint/safetensors.ts";
import { CheckpointError } from "../errors.ts";
import { readLocally } from "../local_copy.ts";
import { readAdapters } from "./adapters.ts";

/** Name of the tensor in a file of soft tokens, `[count, hidden]`. */
export const SOFT_TOKENS_TENSOR = "soft_tokens";

/** Metadata key of the fingerprint of the model that the soft tokens were trained for. */
export const MODEL_FINGERPRINT_KEY = "model_fingerprint";

/** Metadata key of what all formats of that model share. */
export const MODEL_IDENTITY_KEY = "model_identity";

/**
 * Reads trained soft tokens, and the adapters beside them, from a safetensors file; metadata other
 * than the model's fingerprint and identity becomes their card.
 *
 * @param source Path, or `file:`, `http:` or `https:` URL.
 * @throws {CheckpointError} If the file is missing, damaged or holds no soft tokens.
 * @throws {FetchError} If the URL cannot be fetched.
 *
 * @example
 * ```ts
 * import { writeSafetensors } from "../checkpoint/safetensors.ts";
 * import { readSoftTokens } from "./read.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const path = await Deno.makeTempFile();
 * const soft_tokens = { shape: [2, 4], data: new Float32Array(8) };
 * await writeSafetensors(path, { soft_tokens }, { model_fingerprint: "abc", steps: "100" });
 * const { count, hidden, fingerprint, card } = await readSoftTokens(path);
 * assertEquals({ count, hidden, fingerprint }, { count: 2, hidden: 4, fingerprint: "abc" });
 * assertEquals(card, { steps: "100" });
 * await Deno.remove(path);
 * ```
 */
export async function readSoftTokens(source: string | URL): Promise<SoftTokens> {
  return await readLocally(source, "soft tokens", readFile);
}

/**
 * Asks a policy for its soft tokens and checks that they fit the model.
 *
 * @throws {CheckpointError} If they were made for another model or have another shape.
 *
 * @example
 * ```ts
 * import { resolveSoftTokens } from "./read.ts";
 * import { assertRejects } from "@std/assert";
 *
 * const readSoftTokens = () => Promise.reject();
 * const names = { fingerprint: "abc", identity: "def" };
 * const readModelFile = readSoftTokens;
 * const model = { hidden: 4, layers: 1, ...names, embeddingRms: 1, readSoftTokens, readModelFile };
 * const tokens = () => ({ count: 1, hidden: 8, embeddings: new Float32Array(8), trained: true });
 * await assertRejects(() => resolveSoftTokens(tokens, model), Error, "size 8");
 * ```
 */
export async function resolveSoftTokens(
  tokens: (model: ModelFacts) => MaybePromise<SoftTokens>,
  model: ModelFacts,
): Promise<SoftTokens> {
  const resolved = await tokens(model);
  const { count, hidden, embeddings } = resolved;
  if (hidden !== model.hidden) {
    throw new CheckpointError(
      `Cannot use soft tokens of size ${hidden}: the model's embeddings have size ${model.hidden}; ` +
        "use soft tokens that were trained for this model",
    );
  }
  if (!isSameModel(resolved, model)) {
    const { card, fingerprint, identity } = resolved;
    const named = fingerprint === undefined ? `identity ${identity}` : `fingerprint ${fingerprint}`;
    throw new CheckpointError(
      `Cannot use soft tokens of ${card?.model ?? "a model"} with ${named}: this model has ` +
        `fingerprint ${model.fingerprint} and is not that one in another format; use soft tokens ` +
        "that were trained for this model",
    );
  }
  if (!Number.isInteger(count) || count < 1 || embeddings.length !== count * hidden) {
    throw new CheckpointError(
      `Cannot use soft tokens: ${count} tokens of size ${hidden} take ${count * hidden} numbers, ` +
        `there are ${embeddings.length}`,
    );
  }
  if (!embeddings.every(Number.isFinite)) {
    throw new CheckpointError(
      "Cannot use soft tokens: some of their numbers are not finite; train or fetch them again",
    );
  }
  return resolved;
}

/** Tokens that name no model fit every one. */
function isSameModel({ fingerprint, identity }: SoftTokens, model: ModelFacts): boolean {
  if (fingerprint === undefined && identity === undefined) return true;
  return fingerprint === model.fingerprint || identity === model.identity;
}

function readFile(path: string): SoftTokens {
  const header = readSafetensors(path);
  const { shape, data } = readFloats(path, SOFT_TOKENS_TENSOR, header);
  const [count = 0, hidden = 0] = shape;
  if (shape.length !== 2 || count < 1 || hidden < 1) {
    throw new CheckpointError(
      `Cannot use ${path}: its tensor "${SOFT_TOKENS_TENSOR}" must be [tokens, hidden], it is ` +
        `[${shape.join(", ")}]`,
    );
  }
  const {
    [MODEL_FINGERPRINT_KEY]: fingerprint,
    [MODEL_IDENTITY_KEY]: identity,
    ...card
  } = header.metadata;
  const adapters = readAdapters(path, header);
  return {
    count,
    hidden,
    embeddings: data,
    ...(adapters === undefined ? {} : { adapters }),
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(identity === undefined ? {} : { identity }),
    trained: true,
    card,
  };
}
