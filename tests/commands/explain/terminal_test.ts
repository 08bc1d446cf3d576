import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { stripVTControlCharacters } from "node:util";
import stringWidth from "npm:string-width@9.0.0";
import type { Explanation } from "../../../commands/_explanation.ts";
import { checkChoice, chosen, nameChoice, shade } from "../../../commands/explain/_choice.ts";
import type { Piece } from "../../../commands/explain/_pieces.ts";
import { shadedText, type TerminalSettings } from "../../../commands/explain/_terminal.ts";
import { type Run, wrap } from "../../../commands/explain/_wrap.ts";
import { PromptError } from "../../../runtime/errors.ts";

const words = (...texts: string[]): Piece[] =>
  texts.map((text, from) => ({ from, count: 1, text }));

/** Two layers of two heads. */
function explained(tokens: number, ...kept: number[][]): Explanation {
  const [a = [], b = [], c = [], d = []] = kept;
  const head = (kept: number[]) => ({ kept });
  return {
    model: "m",
    policy: "p",
    options: {},
    tokens,
    budget: 1,
    layers: [{ layer: 0, heads: [head(a), head(b)] }, { layer: 1, heads: [head(c), head(d)] }],
    bytes: { before: 2, after: 1 },
  };
}

const PLAIN: TerminalSettings = { columns: 80, colors: 0, whole: false };
const COLOR: TerminalSettings = { columns: 80, colors: 3, whole: false };

Deno.test("shadedText() gives every share of heads its own colour", () => {
  const text = shadedText(
    explained(5, [0, 1, 2, 3], [0, 1, 2], [0, 1], [0]),
    words("all ", "most ", "half ", "few ", "none"),
    COLOR,
  );
  const [line = ""] = text.split("\n");
  assertEquals(stripVTControlCharacters(line), "all most half few none");
  const styles = ["all", "most", "half", "few", "none"].map((word) =>
    line.slice(0, line.indexOf(word)).split(" ").at(-1)
  );
  assertEquals(new Set(styles).size, 5);
  assertMatch(stripVTControlCharacters(text), /heads that keep a token, of 4: {2}none .* all $/m);
});

Deno.test("shadedText() shows one head as kept and evicted", () => {
  const view = chosen(explained(3, [0], [1], [2], [0, 2]), { layer: 1, head: 1 });
  assertEquals(
    shadedText(view, words("One ", "two ", "three"), PLAIN),
    "⟦One ⟧two ⟦three⟧\n\n⟦kept⟧ by the head\n",
  );
  const legend = stripVTControlCharacters(shadedText(view, words("a", "b", "c"), COLOR));
  assertMatch(legend, /^ evicted {2}kept $/m);
});

Deno.test("shadedText() without colours marks what more than half of the heads keep", () => {
  const text = shadedText(
    explained(4, [0, 1, 2], [0, 1], [0, 1], [0]),
    words("One", " two", "↵\n", "three"),
    PLAIN,
  );
  assertEquals(text, "⟦One two⟧↵\nthree\n\n⟦kept⟧ by more than half of the 4 heads\n");
  assert(!text.includes("\x1b"));
});

Deno.test("shadedText() shows a character that any of its tokens keeps as kept", () => {
  const party = [{ from: 0, count: 3, text: "🎉" }, { from: 3, count: 1, text: "!" }];
  const text = shadedText(explained(4, [1], [1], [1], [1]), party, PLAIN);
  assertMatch(text, /^⟦🎉⟧!$/m);
});

Deno.test("shadedText() folds long stretches of a long text, unless asked for the whole", () => {
  const many = Array.from({ length: 3000 }, (_, at) => `w${at} `);
  const view = explained(3000, [0, 2999], [0, 2999], [0, 2999], [0, 2999]);
  const text = shadedText(view, words(...many), PLAIN).replaceAll("\n", "");
  assertMatch(text, /^⟦w0 ⟧w1 .*w12 {2}… 2974 tokens that no head keeps … w2987 .*⟦w2999 ⟧/);
  const whole = shadedText(view, words(...many), { ...PLAIN, whole: true });
  for (const word of many) assert(whole.includes(word.trim()), word);
  const short = shadedText(explained(2000, [0]), words(...many.slice(0, 2000)), PLAIN);
  assert(short.includes("w1000"));
});

Deno.test("shadedText() fits the narrowest terminals", () => {
  const texts = [
    "unbreakable".repeat(9),
    " 漢字漢字漢字漢字漢字漢字",
    " a\u0301b 👩\u200d👩\u200d👧",
    " x",
  ];
  for (const colors of [0, 1, 3] as const) {
    const text = shadedText(explained(4, [0], [1], [2]), words(...texts), {
      columns: 20,
      colors,
      whole: false,
    });
    const [shown = ""] = text.split("\n\n");
    for (const line of shown.split("\n")) {
      assert(stringWidth(line) <= 20, `${stringWidth(line)} columns: ${line}`);
    }
    const bare = stripVTControlCharacters(shown).replaceAll("\n", "").replace(/[⟦⟧]/g, "");
    assertEquals(bare, texts.join(""));
  }
});

Deno.test("wrap() breaks between words and keeps the shades", () => {
  const runs: Run[] = [{ text: "one tw", shade: 1 }, { text: "o three", shade: 2 }];
  assertEquals(wrap(runs, 8), [
    [{ text: "one tw", shade: 1 }, { text: "o ", shade: 2 }],
    [{ text: "three", shade: 2 }],
  ]);
  assertEquals(wrap([], 8), []);
});

Deno.test("shade() is 0 for no head, 5 for all, and quarters between", () => {
  assertEquals([0, 1, 25, 26, 50, 51, 76, 99, 100].map((votes) => shade(votes, 100)), [
    0,
    1,
    1,
    2,
    2,
    3,
    4,
    4,
    5,
  ]);
  assertEquals([shade(0, 1), shade(1, 1)], [0, 5]);
});

Deno.test("checkChoice() names the layers and heads that there are", () => {
  const config = { layers: 2, kvHeads: 1 };
  checkChoice({ layer: 1, head: 0 }, config);
  checkChoice({}, config);
  assertThrows(
    () => checkChoice({ layer: 2 }, config),
    PromptError,
    "layer 2: the model's layers are 0 to 1",
  );
  assertThrows(
    () => checkChoice({ head: -1 }, config),
    PromptError,
    "head -1: the model's KV heads are 0 to 0",
  );
  assertEquals(nameChoice({ head: 0 }), ["looked at: every layer, KV head 0"]);
  assertEquals(nameChoice({}), []);
});
