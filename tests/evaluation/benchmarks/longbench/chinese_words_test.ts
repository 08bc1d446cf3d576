import { assertEquals } from "@std/assert";
import { loadChineseWords } from "../../../../evaluation/benchmarks/longbench/chinese_words.ts";

// As jieba 0.42.1 cuts them.
const CUTS = [
  "他|来到|了|网易|杭研|大厦",
  "占|比|12.5%|，|约|3|-|5|年",
  "C++|和|C#|语言",
  "GDP|同比|增长|5.2%",
  "LongChat|-|v1.5|-|7B|-|32k| |模型",
];

Deno.test("loadChineseWords() cuts as jieba does", async () => {
  const words = await loadChineseWords();
  for (const cut of CUTS) assertEquals(words(cut.replaceAll("|", "")).join("|"), cut);
  assertEquals(words(""), []);
});
