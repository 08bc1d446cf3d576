/** Cuts a text into words; together they are the text. */
export type WordSegmenter = (text: string) => readonly string[];

/**
 * Loads jieba, by which LongBench cuts Chinese into words, with its dictionary.
 *
 * @example
 * ```ts
 * import { loadChineseWords } from "./chinese_words.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const words = await loadChineseWords();
 * assertEquals(words("小明毕业于中国科学院"), ["小明", "毕业", "于", "中国科学院"]);
 * ```
 */
export async function loadChineseWords(): Promise<WordSegmenter> {
  const { cut } = await import("npm:jieba-wasm@2.4.0");
  // This port takes "7-8" for one word, the original does not.
  return (text) => text.split(/(-+)/).flatMap((part) => cut(part, true));
}
