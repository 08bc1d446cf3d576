import TinyQueue from "npm:tinyqueue@3.0.0";
import type { ScoredPieces } from "./tokenizer_files.ts";
import type { VocabularyModel } from "./vocabulary_model.ts";

const SPACE = "▁";

/**
 * Pieces with scores, merged as SentencePiece's BPE does it: of all neighbours that form a piece, those
 * whose piece scores best, and of equals the first. Characters that are no piece become their bytes.
 */
export function scoredModel(
  { tokens, scores, mergeable, unknownId, spacePrefix }: ScoredPieces,
): VocabularyModel {
  const ids = new Map<string, number>();
  // The first of equal tokens is the one that is found.
  for (let id = tokens.length - 1; id >= 0; id--) ids.set(tokens[id] ?? "", id);
  const pieceOf = (text: string): number | undefined => {
    const id = ids.get(text);
    return id !== undefined && mergeable(id) ? id : undefined;
  };
  const bytesOf = (character: string): readonly number[] => {
    const bytes = [...encoder.encode(character)].map((byte) =>
      ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`)
    );
    const known = bytes.filter((id) => id !== undefined);
    if (known.length === bytes.length) return known;
    return unknownId === undefined ? [] : [unknownId];
  };
  return {
    size: tokens.length,
    token: (id) => tokens[id],
    id: (token) => ids.get(token),
    normalize: (text) => (spacePrefix && text !== "" ? SPACE : "") + text.replaceAll(" ", SPACE),
    encode: (text) => {
      const score = (piece: string) => {
        const id = pieceOf(piece);
        return id === undefined ? undefined : scores[id] ?? 0;
      };
      const encoded: number[] = [];
      for (const piece of mergePieces(text, score)) {
        const id = pieceOf(piece);
        for (const next of id === undefined ? bytesOf(piece) : [id]) {
          // A run of what is unknown is one unknown token.
          if (next !== unknownId || encoded.at(-1) !== unknownId) encoded.push(next);
        }
      }
      return encoded;
    },
  };
}

const encoder = new TextEncoder();

/**
 * Joins the characters of a text to pieces.
 *
 * @param score Score of a piece, higher is joined earlier; `undefined` for what is none.
 *
 * @example
 * ```ts
 * import { mergePieces } from "./scored_model.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const scores = new Map([["ab", -2], ["bc", -1], ["abc", -3]]);
 * assertEquals(mergePieces("abcab", (piece) => scores.get(piece)), ["abc", "ab"]);
 * ```
 */
export function mergePieces(
  text: string,
  score: (piece: string) => number | undefined,
): string[] {
  // Where symbol i begins and ends in the text, and its neighbours; one that was joined ends at 0.
  const starts: number[] = [];
  for (let at = 0; at < text.length; at += characterLength(text, at)) starts.push(at);
  const count = starts.length;
  const begin = Int32Array.from(starts);
  const end = Int32Array.from({ length: count }, (_, i) => starts[i + 1] ?? text.length);
  const before = Int32Array.from({ length: count }, (_, i) => i - 1);
  const behind = Int32Array.from({ length: count }, (_, i) => i + 1 < count ? i + 1 : -1);
  const joins = new TinyQueue<Join>([], byScore);
  const consider = (left: number, right: number) => {
    if (left < 0 || right < 0) return;
    const to = end[right] ?? 0;
    const found = score(text.slice(begin[left], to));
    if (found !== undefined) joins.push({ left, right, to, score: found });
  };
  for (let i = 0; i + 1 < count; i++) consider(i, i + 1);
  for (let join = joins.pop(); join; join = joins.pop()) {
    const { left, right, to } = join;
    // One of the two has been joined with something else since.
    if (end[left] === 0 || behind[left] !== right || end[right] !== to) continue;
    end[left] = to;
    end[right] = 0;
    const next = behind[right] ?? -1;
    behind[left] = next;
    if (next >= 0) before[next] = left;
    consider(before[left] ?? -1, left);
    consider(left, next);
  }
  const pieces: string[] = [];
  for (let i = count > 0 ? 0 : -1; i >= 0; i = behind[i] ?? -1) {
    pieces.push(text.slice(begin[i], end[i]));
  }
  return pieces;
}

function characterLength(text: string, at: number): 1 | 2 {
  return (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
}

/** Two neighbours that form a piece. */
interface Join {
  readonly left: number;
  readonly right: number;
  /** Where the right one ended when this was found. */
  readonly to: number;
  readonly score: number;
}

/** The best score first, of equals the leftmost. */
function byScore(a: Join, b: Join): number {
  return b.score - a.score || a.left - b.left;
}
