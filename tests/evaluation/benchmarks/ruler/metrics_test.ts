import { assertEquals } from "@std/assert";
import {
  stringMatchAll,
  stringMatchPart,
} from "../../../../evaluation/benchmarks/ruler/metrics.ts";

Deno.test("stringMatchAll() gives the share of the answers that the output holds", () => {
  const share = (output: string, ...answers: string[]) => stringMatchAll(output, { answers });
  assertEquals(share("are 1234567, 7654321.", "1234567", "7654321"), 1);
  assertEquals(share("are 1234567 and no other", "1234567", "7654321"), 0.5);
  assertEquals(share("ABCDE, bcdef and CDEFG", "ABCDE", "BCDEF", "CDEFG", "DEFGH"), 0.75);
  assertEquals(share("", "1"), 0);
  assertEquals(share("anything"), 0);
  // As in RULER, part of a word counts, and the order does not.
  assertEquals(share("party", "art"), 1);
  assertEquals(share("2 1", "1", "2"), 1);
});

Deno.test("stringMatchPart() is 1 for any of the answers", () => {
  const found = (output: string, ...answers: string[]) => stringMatchPart(output, { answers });
  assertEquals(found("It was built in PARIS", "London", "Paris"), 1);
  assertEquals(found("It was built in Rome", "London", "Paris"), 0);
  assertEquals(found("seven", "seven", "seven arches"), 1);
  assertEquals(found("", "a"), 0);
  assertEquals(found("anything"), 0);
});

Deno.test("metrics read control characters as line breaks, as RULER does", () => {
  const answers = ["two\nwords"];
  assertEquals(stringMatchAll("\u0000 two\twords", { answers }), 1);
  assertEquals(stringMatchPart("two\u001fwords \u0002", { answers }), 1);
  assertEquals(stringMatchPart("two words", { answers }), 0);
});
