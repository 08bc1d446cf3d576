import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import type { ExampleKind, TrainingExample } from "../../../training/data/example.ts";
import { selectExamples } from "../../../training/data/select.ts";
import { TrainingError } from "../../../training/errors.ts";

const example = (kind: ExampleKind, index: number): TrainingExample => ({
  messages: [{ role: "user", content: `${kind} ${index}` }],
  kind,
  line: index + 1,
});

const set = (general: number, code: number) => ({
  examples: [
    ...Array.from({ length: general }, (_, index) => example("general", index)),
    ...Array.from({ length: code }, (_, index) => example("code", index)),
  ],
});

Deno.test("selectExamples() takes one in ten of code, spread evenly", () => {
  const { examples, counts, note, duplicates } = selectExamples(set(500, 500), { samples: 200 });
  assertEquals([counts, note, duplicates], [{ general: 180, code: 20 }, undefined, 0]);
  for (let from = 0; from < 200; from += 10) {
    const code = examples.slice(from, from + 10).filter(({ kind }) => kind === "code");
    assertEquals(code.length, 1);
  }
  for (const [codeShare, code] of [[0, 0], [1, 10], [0.25, 3], [0.33, 3]] as const) {
    assertEquals(selectExamples(set(50, 50), { samples: 10, codeShare }).counts.code, code);
  }
});

Deno.test("selectExamples() draws the same for the same seed, another for another", () => {
  const draw = (seed: number, samples = 50) =>
    selectExamples(set(500, 500), { samples, seed }).examples;
  assertEquals(draw(3), draw(3));
  assertNotEquals(draw(3), draw(4));
  assertEquals(draw(3, 80).slice(0, 50), draw(3));
  assertNotEquals(draw(3).map(({ line }) => line), draw(3).map(({ line }) => line).toSorted());
  assertEquals(new Set(draw(3).map(({ messages }) => messages[0]?.content)).size, 50);
});

Deno.test("selectExamples() reaches every example with about the same chance", () => {
  const hits = new Map<number, number>();
  for (let seed = 0; seed < 400; seed++) {
    for (const { line } of selectExamples(set(20, 0), { samples: 5, seed }).examples) {
      hits.set(line, (hits.get(line) ?? 0) + 1);
    }
  }
  // Binomial with mean 100 and deviation 8.7.
  assertEquals(hits.size, 20);
  assert([...hits.values()].every((count) => count > 60 && count < 140));
});

Deno.test("selectExamples() fills up with the other kind and tells it", () => {
  const few = selectExamples(set(100, 2), { samples: 50, codeShare: 0.5 });
  assertEquals(few.counts, { general: 48, code: 2 });
  assertMatch(few.note ?? "", /only 2 examples of code/);
  const all = selectExamples(set(3, 4), { samples: 50 });
  assertEquals(all.counts, { general: 3, code: 4 });
  assertMatch(all.note ?? "", /7 different examples \(4 of code\), fewer than the 50 wanted/);
});

Deno.test("selectExamples() draws equal conversations once", () => {
  const { examples: distinct } = set(5, 0);
  const twice = { examples: [...distinct, ...distinct.map((one) => ({ ...one, line: 99 }))] };
  const { examples, duplicates } = selectExamples(twice, { samples: 10 });
  assertEquals([examples.length, duplicates], [5, 5]);
  assert(examples.every(({ line }) => line < 99));
});

Deno.test("selectExamples() refuses options out of range", () => {
  for (
    const options of [
      { samples: 0 },
      { samples: 1.5 },
      { samples: NaN },
      { samples: 1, codeShare: -0.1 },
      { samples: 1, codeShare: 1.1 },
      { samples: 1, codeShare: NaN },
      { samples: 1, seed: 0.5 },
    ]
  ) {
    const error = assertThrows(() => selectExamples(set(3, 3), options), TrainingError);
    assertMatch(error.message, /^Cannot select examples: \w+ must be .*, got /);
  }
});
