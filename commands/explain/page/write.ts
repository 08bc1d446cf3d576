import { writeAtomically } from "../../../runtime/atomic_file.ts";
import type { Tokenizer } from "../../../runtime/tokenizer/tokenizer.ts";
import type { Explanation } from "../../_explanation.ts";
import type { HeadChoice } from "../_choice.ts";
import { pieces } from "../_pieces.ts";
import { explanationPage } from "./_page.ts";

/** What {@linkcode writePage} shows. */
export interface PageRequest {
  readonly explanation: Explanation;
  /** What the sliders show at first. */
  readonly choice: HeadChoice;
  readonly ids: readonly number[];
  readonly tokenizer: Tokenizer;
  /** Per layer `[heads × tokens]`; none where the policy has none. */
  readonly scores: readonly Float32Array[];
}

/**
 * Writes the page, whole or not at all.
 *
 * @returns Its size in bytes.
 * @throws {StorageError} If the disk refuses.
 */
export async function writePage(path: string, request: PageRequest): Promise<number> {
  const { explanation, choice, ids, tokenizer, scores } = request;
  const page = await explanationPage({
    explanation,
    layer: choice.layer ?? -1,
    head: choice.head ?? -1,
    pieces: pieces(ids, tokenizer),
    ids,
    scores,
  });
  const bytes = new TextEncoder().encode(page);
  await writeAtomically(path, bytes);
  return bytes.length;
}
