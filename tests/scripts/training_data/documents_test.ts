import { assert, assertEquals, assertThrows } from "@std/assert";
import { estimateTokens } from "../../../scripts/training_data/copying/exercise.ts";
import { documents } from "../../../scripts/training_data/documents.ts";
import { TrainingError } from "../../../training/errors.ts";

const prose = Array.from(
  { length: 400 },
  (_, index) => `Sentence ${index} says little, but at length.`,
);

const pool = ["codegen", "xsum"].flatMap((source) =>
  Array.from({ length: 30 }, (_, index) => ({
    source,
    question: `${source} ${index} `.repeat(40),
    answer: `Answer of ${source} ${index}`,
  }))
);

const request = { count: 30, tokens: [400, 900], prose, pool, seed: 0, split: "train" } as const;

Deno.test("documents() makes texts of four kinds between the bounds, the same ones again", () => {
  const made = documents(request);
  assertEquals(documents(request), made);
  const counts = new Map<string, number>();
  for (const { source, messages, later } of made) {
    counts.set(source, (counts.get(source) ?? 0) + 1);
    assertEquals([messages.length, later], [1, undefined]);
    const tokens = estimateTokens(messages[0]?.content ?? "");
    assert(tokens > 300 && tokens < 1300, `${source}: ${tokens}`);
  }
  assertEquals(Object.fromEntries(counts), {
    document_prose: 6,
    document_copying: 12,
    document_texts: 6,
    document_programs: 6,
  });
});

Deno.test("documents() ends where there is too little of something", () => {
  const refused = (changes: Partial<Parameters<typeof documents>[0]>) =>
    assertThrows(() => documents({ ...request, ...changes }), TrainingError).message;
  assert(/Cannot make documents of 900 tokens: the train split/.test(
    refused({ prose: prose.slice(0, 3) }),
  ));
  assert(/a document of programs/.test(
    refused({ pool: pool.filter(({ source }) => source !== "codegen") }),
  ));
});
