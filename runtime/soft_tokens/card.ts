import * as v from "npm:valibot@1.5.0";
import type { ModelFacts, SoftTokens } from "../../policies/policy.ts";
import { type SafetensorsInput, writeSafetensors } from "../checkpoint/safetensors.ts";
import { ANY_OBJECT, FILLED_TEXT } from "../schema.ts";
import { MODEL_FINGERPRINT_KEY, MODEL_IDENTITY_KEY, SOFT_TOKENS_TENSOR } from "./read.ts";
import { demandObject, demandText } from "../given.ts";

/** How soft tokens were made, as it stands in their file. */
export interface SoftTokenCard {
  /** Name of the model. */
  readonly model?: string;
  /** Hash of the training data, hexadecimal. */
  readonly dataHash?: string;
  /** Settings of the training, by name. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Loss of the first steps. */
  readonly lossStart?: number;
  /** Loss of the last steps. */
  readonly lossEnd?: number;
  /** Critical hit rates that were measured, by name. */
  readonly hitRate?: Readonly<Record<string, unknown>>;
  /** Day that they were made on, as in `2026-11-24`. */
  readonly created?: string;
  /** Version of kvjudge. */
  readonly version?: string;
  /** Command that made them. */
  readonly command?: string;
}

const TEXT = v.fallback(v.optional(v.string()), undefined);

const NUMBER = v.fallback(
  v.optional(v.pipe(FILLED_TEXT, v.transform(Number), v.finite())),
  undefined,
);

const OBJECT = v.fallback(v.optional(v.pipe(v.string(), v.parseJson(), ANY_OBJECT)), undefined);

/** Metadata of a file, by the names that it has there. */
const CARD = v.object({
  model: TEXT,
  data_hash: TEXT,
  settings: OBJECT,
  loss_start: NUMBER,
  loss_end: NUMBER,
  hit_rate: OBJECT,
  created: TEXT,
  version: TEXT,
  command: TEXT,
});

/**
 * Reads a card from a file's metadata. Fields that are missing or unreadable are left out: a foreign
 * file need not have any.
 *
 * @example
 * ```ts
 * import { parseCard } from "./card.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const card = parseCard({ model: "tiny", loss_end: "0.5", settings: "?", format: "pt" });
 * assertEquals(card, { model: "tiny", lossEnd: 0.5 });
 * ```
 */
export function parseCard(metadata: Readonly<Record<string, string>>): SoftTokenCard {
  const { data_hash, loss_start, loss_end, hit_rate, ...card } = v.parse(CARD, { ...metadata });
  return defined({
    ...card,
    dataHash: data_hash,
    lossStart: loss_start,
    lossEnd: loss_end,
    hitRate: hit_rate,
  });
}

/** Metadata that is no part of a card. */
export function unknownMetadata(
  metadata: Readonly<Record<string, string>>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata).filter(([key]) => !Object.hasOwn(CARD.entries, key)),
  );
}

/**
 * Writes soft tokens, their adapters and their card to a safetensors file. It first has a temporary
 * name in the same folder, so that the file is whole whenever it exists.
 *
 * @param path File to create or replace; its folder must exist.
 * @param model What they were trained for.
 * @throws {CheckpointError} If the file cannot be written, or the numbers of a tensor do not make its
 * shape.
 *
 * @example
 * ```ts
 * import { readSoftTokens } from "./read.ts";
 * import { parseCard, writeSoftTokens } from "./card.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const path = await Deno.makeTempFile();
 * const tokens = { count: 1, hidden: 4, embeddings: new Float32Array(4) };
 * await writeSoftTokens(path, tokens, { fingerprint: "abc", identity: "def" }, { lossEnd: 0.5 });
 * const { fingerprint, card = {} } = await readSoftTokens(path);
 * assertEquals([fingerprint, parseCard(card)], ["abc", { lossEnd: 0.5 }]);
 * await Deno.remove(path);
 * ```
 */
export async function writeSoftTokens(
  path: string,
  softTokens: Pick<SoftTokens, "count" | "hidden" | "embeddings" | "adapters">,
  model: Pick<ModelFacts, "fingerprint" | "identity">,
  card: SoftTokenCard = {},
): Promise<void> {
  demandText("write soft tokens", "the path", path, "a path");
  demandObject("write soft tokens", "they", softTokens);
  demandObject("write soft tokens", "their model", model);
  const { count, hidden, embeddings, adapters } = softTokens;
  const { fingerprint, identity } = model;
  const tensors: Record<string, SafetensorsInput> = {
    [SOFT_TOKENS_TENSOR]: { shape: [count, hidden], data: embeddings },
  };
  const { rank = 1, tensors: added = {} } = adapters ?? {};
  for (const [name, data] of Object.entries(added)) {
    const other = data.length / rank;
    tensors[name] = { shape: name.endsWith(".a") ? [other, rank] : [rank, other], data };
  }
  await writeSafetensors(path, tensors, {
    [MODEL_FINGERPRINT_KEY]: fingerprint,
    [MODEL_IDENTITY_KEY]: identity,
    ...cardMetadata(card),
  });
}

function cardMetadata(card: SoftTokenCard): Record<string, string> {
  return defined({
    model: card.model,
    data_hash: card.dataHash,
    settings: card.settings && JSON.stringify(card.settings),
    loss_start: card.lossStart?.toString(),
    loss_end: card.lossEnd?.toString(),
    hit_rate: card.hitRate && JSON.stringify(card.hitRate),
    created: card.created,
    version: card.version,
    command: card.command,
  });
}

/** The entries that have a value. */
function defined<Value>(
  values: Readonly<Record<string, Value | undefined>>,
): Record<string, Value> {
  const given: Record<string, Value> = {};
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined) given[name] = value;
  }
  return given;
}
