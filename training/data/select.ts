import { createHash } from "node:crypto";
import { TrainingError } from "../errors.ts";
import type { ConversationSet, ExampleKind, TrainingExample } from "./example.ts";

/** Options of {@linkcode selectExamples}. */
export interface SelectOptions {
  /** Examples wanted. */
  readonly samples: number;
  /** Share of them that is code, from 0 to 1. @default {0.1} */
  readonly codeShare?: number;
  /** The same seed chooses the same examples. @default {0} */
  readonly seed?: number;
}

/** What {@linkcode selectExamples} chose. */
export interface Selection {
  /** In random order; every stretch of it has about the wanted share of code. */
  readonly examples: readonly TrainingExample[];
  /** How many of them are of each kind. */
  readonly counts: Readonly<Record<ExampleKind, number>>;
  /** Examples whose messages another one has too; they were never drawn. */
  readonly duplicates: number;
  /** A sentence on what could not be had as wanted, if anything. */
  readonly note?: string;
}

/**
 * Draws examples with a given share of code: 0.1 makes one in ten. If one kind runs out, the other
 * takes its place, and if both do, fewer than `samples` are returned; `note` tells it.
 *
 * A longer selection with the same seed begins with the shorter one (as long as no kind runs out),
 * so that what was computed for its examples serves again.
 *
 * @throws {TrainingError} If an option is out of range.
 *
 * @example
 * ```ts
 * import { selectExamples } from "./select.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const examples = Array.from({ length: 40 }, (_, index) => ({
 *   messages: [{ role: "user", content: `question ${index}` }],
 *   kind: index < 20 ? "code" as const : "general" as const,
 *   line: index + 1,
 * }));
 * const set = { examples, skipped: [], hash: "" };
 * const { counts } = selectExamples(set, { samples: 20, codeShare: 0.1, seed: 7 });
 * assertEquals(counts, { general: 18, code: 2 });
 * ```
 */
export function selectExamples(
  set: Pick<ConversationSet, "examples">,
  { samples, codeShare = 0.1, seed = 0 }: SelectOptions,
): Selection {
  demand("samples", samples, "an integer from 1", Number.isInteger(samples) && samples >= 1);
  demand("codeShare", codeShare, "from 0 to 1", codeShare >= 0 && codeShare <= 1);
  demand("seed", seed, "an integer", Number.isInteger(seed));
  const unique = withoutDuplicates(set.examples);
  const shuffled = shuffle(unique, seed);
  const of = (kind: ExampleKind) => shuffled.filter((example) => example.kind === kind);
  const pools = { general: of("general"), code: of("code") };
  const counts = { general: 0, code: 0 };
  const examples: TrainingExample[] = [];
  let replaced: ExampleKind | undefined;
  while (examples.length < Math.min(samples, unique.length)) {
    const position = examples.length;
    const wanted = codeAmong(position + 1, codeShare) > codeAmong(position, codeShare);
    let kind: ExampleKind = wanted ? "code" : "general";
    let example = pools[kind][counts[kind]];
    if (!example) {
      replaced = kind;
      kind = kind === "code" ? "general" : "code";
      example = pools[kind][counts[kind]];
    }
    if (!example) break;
    counts[kind]++;
    examples.push(example);
  }
  const duplicates = set.examples.length - unique.length;
  const note = noteOn(samples, examples.length, replaced, counts);
  return { examples, counts, duplicates, ...(note ? { note } : {}) };
}

/** Code among the first `count`; the small term keeps 0.1 × 5 from falling below a half. */
function codeAmong(count: number, share: number): number {
  return Math.floor(count * share + 0.5 + 1e-9);
}

function demand(name: string, value: number, bound: string, holds: boolean): void {
  if (!holds) {
    throw new TrainingError(`Cannot select examples: ${name} must be ${bound}, got ${value}`);
  }
}

function withoutDuplicates(examples: readonly TrainingExample[]): readonly TrainingExample[] {
  const seen = new Set<string>();
  return examples.filter((example) => seen.size !== seen.add(contentHash(example, "")).size);
}

/** In the order of their hashes, so that neither the file's order nor similar seeds show. */
function shuffle(examples: readonly TrainingExample[], seed: number): readonly TrainingExample[] {
  return examples.map((example) => ({ example, key: contentHash(example, `${seed}`) }))
    .sort((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
    .map(({ example }) => example);
}

function contentHash({ messages, later, begun }: TrainingExample, salt: string): string {
  const content = [
    ...messages.map(({ role, content }) => [role, content]),
    ...(later === undefined ? [] : [["later", later]]),
    ...(begun === undefined ? [] : [["begun", begun]]),
  ];
  return createHash("sha256").update(JSON.stringify([salt, content])).digest("hex");
}

function noteOn(
  samples: number,
  found: number,
  replaced: ExampleKind | undefined,
  counts: Readonly<Record<ExampleKind, number>>,
): string | undefined {
  if (found < samples) {
    return `The data hold ${found} different examples (${counts.code} of code), fewer than the ` +
      `${samples} wanted: all are taken`;
  }
  if (replaced === undefined) return undefined;
  const kind = replaced === "code" ? "of code" : "that are not code";
  return `The data hold only ${counts[replaced]} examples ${kind}: others take their place`;
}
