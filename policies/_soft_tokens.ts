import { createPrng } from "./_random.ts";
import type { ModelFacts, SoftTokens } from "./policy.ts";

/** Path or URL of a file of soft tokens, or the tokens themselves. */
export type SoftTokenSource = string | URL | SoftTokens;

/** Soft tokens that the paper trains. */
const UNTRAINED_COUNT = 32;

/** Whether a value can be a source of soft tokens. */
export function isSoftTokenSource(value: unknown): value is SoftTokenSource {
  if (typeof value === "string") return value !== "";
  return value instanceof URL ||
    (typeof value === "object" && value !== null && "embeddings" in value &&
      value.embeddings instanceof Float32Array);
}

/** A source as it stands in records. */
export function describeSource(source: SoftTokenSource | undefined): string {
  if (source === undefined) return "untrained";
  if (typeof source === "string") return source;
  return source instanceof URL ? source.href : `${source.count} given tokens`;
}

/**
 * A loader that reads its source once per model; a failed reading is tried again.
 */
export function softTokenLoader(
  source: SoftTokenSource | undefined,
): (model: ModelFacts) => Promise<SoftTokens> {
  const loaded = new Map<string, Promise<SoftTokens>>();
  return (model) => {
    const { fingerprint } = model;
    const known = loaded.get(fingerprint);
    if (known !== undefined) return known;
    const tokens = load(source, model);
    loaded.set(fingerprint, tokens);
    tokens.catch(() => loaded.delete(fingerprint));
    return tokens;
  };
}

async function load(source: SoftTokenSource | undefined, model: ModelFacts): Promise<SoftTokens> {
  if (source === undefined) return untrainedSoftTokens(model);
  const given = typeof source === "string" || source instanceof URL;
  return given ? await model.readSoftTokens(source) : source;
}

/**
 * Random embeddings of the size and magnitude of the model's own, the same on every machine: uniform,
 * with the root mean square of the model's embeddings.
 */
export function untrainedSoftTokens(
  { hidden, embeddingRms }: Pick<ModelFacts, "hidden" | "embeddingRms">,
): SoftTokens {
  const next = createPrng();
  const reach = Math.sqrt(3) * embeddingRms;
  const count = UNTRAINED_COUNT;
  const embeddings = Float32Array.from(
    { length: count * hidden },
    () => (2 * next() - 1) * reach,
  );
  return { count, hidden, embeddings, trained: false };
}
