import { createPrng } from "./_random.ts";
import { type ModelFacts, OptionError, type SoftTokens, type SoftTokenSource } from "./policy.ts";
import { findShipped, type ShippedTokens } from "./soft_tokens/index.ts";

/** What a policy needs of its soft tokens. */
export interface SoftTokenNeeds {
  /** Name of the policy. */
  readonly policy: string;
  /** Policy whose tokens that come with the project serve it. @default {itself} */
  readonly ships?: string;
  /** Whether trained tokens must come with adapters, or must not. */
  readonly adapters: boolean | "optional";
  /** Command that trains some. */
  readonly train: string;
  /** Untrained tokens, where there are no others. @default {32, as many as the papers train} */
  readonly count?: number;
  /** Tokens that come with the project. @default {the table of `soft_tokens/`} */
  readonly shipped?: readonly ShippedTokens[];
}

/** Soft tokens that the papers of those that judge train. */
const UNTRAINED_COUNT = 32;

/** A source as it stands in records. */
export function describeSource(source: SoftTokenSource | undefined): string {
  if (source === undefined) return "default";
  if (typeof source === "string") return source;
  return source instanceof URL ? source.href : `${source.count} given tokens`;
}

/**
 * A loader that reads its source once per model; a failed reading is tried again. It throws an
 * {@linkcode OptionError} if the tokens come with adapters that the policy does not run, or without
 * those that it needs.
 */
export function softTokenLoader(
  source: SoftTokenSource | undefined,
  needs: SoftTokenNeeds,
): (model: ModelFacts) => Promise<SoftTokens> {
  const loaded = new Map<string, Promise<SoftTokens>>();
  return (model) => {
    const { fingerprint } = model;
    const known = loaded.get(fingerprint);
    if (known !== undefined) return known;
    const tokens = load(source, needs, model);
    loaded.set(fingerprint, tokens);
    tokens.catch(() => loaded.delete(fingerprint));
    return tokens;
  };
}

async function load(
  source: SoftTokenSource | undefined,
  needs: SoftTokenNeeds,
  model: ModelFacts,
): Promise<SoftTokens> {
  const { count } = needs;
  if (source === "untrained") return untrainedSoftTokens(model, count);
  const found = source ?? findShipped(needs.ships ?? needs.policy, model, needs.shipped);
  if (found === undefined) {
    const note = `none ship for this model; train some with \`${needs.train}\``;
    return { ...untrainedSoftTokens(model, count), note };
  }
  const given = typeof found === "string" || found instanceof URL;
  const tokens = given ? await model.readSoftTokens(found) : found;
  checkAdapters(tokens, describeSource(found), needs);
  return tokens;
}

/** Untrained adapters would add zero, so untrained tokens need none. */
function checkAdapters(
  { adapters, trained }: SoftTokens,
  source: string,
  { policy, adapters: needed, train }: SoftTokenNeeds,
): void {
  if (needed === true && trained && adapters === undefined) {
    throw new OptionError(
      `Cannot use ${source} with policy '${policy}': these soft tokens have no adapters; train some ` +
        `that have with \`${train}\`, or use a policy that needs none`,
    );
  }
  if (!needed && adapters !== undefined) {
    throw new OptionError(
      `Cannot use ${source} with policy '${policy}': these soft tokens were trained with adapters, ` +
        `which it does not run; train some without with \`${train}\`, or use a policy that runs them`,
    );
  }
}

/**
 * Random embeddings of the size and magnitude of the model's own, the same on every machine: uniform,
 * with the root mean square of the model's embeddings.
 */
export function untrainedSoftTokens(
  { hidden, embeddingRms }: Pick<ModelFacts, "hidden" | "embeddingRms">,
  count = UNTRAINED_COUNT,
): SoftTokens {
  const next = createPrng();
  const reach = Math.sqrt(3) * embeddingRms;
  const embeddings = Float32Array.from(
    { length: count * hidden },
    () => (2 * next() - 1) * reach,
  );
  return { count, hidden, embeddings, trained: false };
}
