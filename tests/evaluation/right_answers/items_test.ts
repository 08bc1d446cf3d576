import { assert, assertEquals, assertThrows } from "@std/assert";
import { makeCodes } from "../../../evaluation/right_answers/codes.ts";
import { makeFacts } from "../../../evaluation/right_answers/facts.ts";
import {
  type AnswerItem,
  isRight,
  messagesOf,
  type Split,
} from "../../../evaluation/right_answers/item.ts";
import { PromptError } from "../../../runtime/errors.ts";

const haystack = await Deno.readTextFile(
  new URL("../../../examples/speckled_band.txt", import.meta.url),
);
/** A token for each word or sign. */
const tokenizer = {
  encode: (text: string) => text.match(/\w+|[^\w\s]/g)?.map((_, at) => at) ?? [],
};
const SPLITS: readonly Split[] = ["validation", "test"];

const codes = (split: Split, seed = 0) => makeCodes({ items: 40, seed, split });
const facts = (split: Split, seed = 0, tokens = 400) =>
  makeFacts({ items: 40, seed, split, haystack, tokens, tokenizer });

for (const [kind, make] of Object.entries({ codes, facts })) {
  Deno.test(`${kind}: the same seed makes the same items, another seed others`, () => {
    const plain = (items: readonly AnswerItem[]) =>
      items.map(({ document, question, expected }) => ({ document, question, expected }));
    assertEquals(plain(make("test", 3)), plain(make("test", 3)));
    assert(JSON.stringify(plain(make("test", 3))) !== JSON.stringify(plain(make("test", 4))));
    assertEquals(new Set(make("test").map(({ id }) => id)).size, 40);
  });

  Deno.test(`${kind}: the answer stands in the document once and not in the question`, () => {
    for (const { document, question, expected } of SPLITS.flatMap((split) => make(split))) {
      assert(isRight(document, expected));
      const rest = document.replace(new RegExp(`(?<![\\w])${expected}(?![\\w])`), "");
      assert(!isRight(rest, expected), `${expected} stands there twice`);
      assert(!isRight(question, expected));
    }
  });

  Deno.test(`${kind}: validation and test have no name, wording or answer in common`, () => {
    const of = (split: Split) => make(split);
    const names = (split: Split) =>
      new Set(of(split).flatMap(({ question }) => question.match(/\b[A-Z]\w+/g)?.slice(1) ?? []));
    assertEquals([...names("test")].filter((name) => names("validation").has(name)), []);
    const shapes = (split: Split) =>
      new Set(
        of(split).map(({ question }) => question.replace(/(?<!^)\b[A-Z]\w+( [A-Z]\w+)?/g, "X")),
      );
    assert(shapes("test").size >= (kind === "facts" ? 6 : 1));
    assertEquals([...shapes("test")].filter((shape) => shapes("validation").has(shape)), []);
    const words = (split: Split) => new Set(of(split).map(({ expected }) => expected));
    const common = [...words("test")].filter((word) => words("validation").has(word));
    assertEquals(common.filter((word) => !/^\d+$/.test(word)), []);
  });
}

Deno.test("makeCodes() asks for one of fifteen codes, in the words of the issue", () => {
  const [item] = codes("test");
  assert(item);
  const [first = "", ...rest] = item.document.split(/(?<=\d\. )(?=The registration)/);
  assertEquals(rest.length, 14);
  assert(
    /^The registration code of building Alder is \d{6}\. The roof of building Alder was last painted in \d{4}\. $/
      .test(first),
    first,
  );
  const asked = item.question.match(/building (\w+)\?$/)?.[1];
  assert(item.document.includes(`code of building ${asked} is ${item.expected}.`));
  const [end] = messagesOf(item, "end");
  const [front] = messagesOf(item, "front");
  assertEquals(end?.content, `${item.document}\n${item.question}`);
  assertEquals(front?.content, `${item.question}\n${item.document.trimEnd()}`);
});

Deno.test("makeFacts() plants at any depth in about as many tokens as asked for", () => {
  const items = facts("test");
  const depths = items.map(({ document, expected }) =>
    document.indexOf(expected) / document.length
  );
  assert(Math.min(...depths) < 0.2 && Math.max(...depths) > 0.8);
  for (const { document } of items) {
    const { length } = tokenizer.encode(document);
    assert(length > 330 && length < 470, `${length} tokens`);
  }
  const beginnings = new Set(items.map(({ document }) => document.slice(0, 60)));
  assert(beginnings.size > 10);
});

Deno.test("makeFacts() takes the two splits from different prose", () => {
  const sentences = (split: Split) =>
    new Set(facts(split).flatMap(({ document }) => document.match(/[A-Z][^.?!]{40,}[.?!]/g) ?? []));
  const own = sentences("validation");
  assert(own.size > 20);
  assertEquals([...sentences("test")].filter((sentence) => own.has(sentence)), []);
});

Deno.test("makeFacts() refuses a haystack that is too short", () => {
  assertThrows(() => facts("test", 0, 9000), PromptError, "Cannot plant facts in 9000 tokens");
  const request = {
    items: 1,
    seed: 0,
    split: "test",
    haystack: "",
    tokens: 10,
    tokenizer,
  } as const;
  assertThrows(() => makeFacts(request), PromptError, "the haystack has 0");
});

Deno.test("isRight() compares numbers and words as wholes", () => {
  for (const text of ["75315", "is 75315.", "(75315)", "75,315", "code: 75315, and"]) {
    assert(isRight(text, "75315"), text);
  }
  for (const text of ["753159", "175315", "7531 5", "75315.5", "", "7531"]) {
    assert(!isRight(text, "75315"), text);
  }
  assert(isRight("It is AMBER.", "amber"));
  assert(!isRight("The chamber", "amber"));
  assert(!isRight("ambers", "amber"));
});
