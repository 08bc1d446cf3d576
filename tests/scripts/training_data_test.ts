import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { fileURLToPath } from "node:url";
import { HELD_OUT, trainingData } from "../../scripts/training_data.ts";
import { questionFirst } from "../../scripts/training_data/recipes.ts";
import { TrainingError } from "../../training/errors.ts";
import { withFolder } from "../_temp_folder.ts";

/** An exchange that names its task and its number, of about so many characters. */
function record(source: string, index: number, length: number) {
  const words = `${source} ${index} `.repeat(Math.ceil(length / (source.length + 4)));
  return {
    source,
    conversations: [
      { from: "human", value: ` ${words}? ` },
      { from: "gpt", value: `Answer to ${source} ${index}<|endoftext|>` },
    ],
  };
}

const TASKS = ["xsum", "duorc", "codegen", "wiki", "qasc", "social"];

const records = TASKS.flatMap((source) =>
  Array.from({ length: 40 }, (_, index) => record(source, index, 200 + 130 * index))
);

const prose = Array.from(
  { length: 300 },
  (_, index) => `Sentence ${index} of the prose says little, but at some length.`,
).join("\n");

Deno.test("trainingData() keeps the tasks of the held-out prompts out of the training", () => {
  const { train, heldOut } = trainingData(records, prose);
  assert(train.length > 1400 && heldOut.length > 50, `${train.length}, ${heldOut.length}`);
  const sourcesOf = (recipes: typeof train) =>
    new Set(recipes.flatMap(({ source }) => source.split("+")));
  assertEquals([...sourcesOf(heldOut)].toSorted(), ["qasc", "social", "wiki"]);
  assertEquals(sourcesOf(train), new Set(["xsum", "duorc", "codegen", "texts", "lookups"]));
  const held = /\b(wiki|qasc|social) \d/;
  for (const { messages } of train) {
    for (const { content } of messages) assert(!held.test(content), content);
  }
  for (const { messages } of heldOut) {
    assert(messages.every(({ content }) => held.test(content)));
    assert(!messages.some(({ content }) => content.includes("prose says")));
  }
  assert(["wiki", "qasc", "social"].every((source) => HELD_OUT.has(source)));
});

Deno.test("trainingData() makes prompts that end with a user turn", () => {
  const { train, heldOut } = trainingData(records, prose);
  for (const { messages } of [...train, ...heldOut]) {
    assertEquals(messages.length % 2, 1);
    messages.forEach(({ role, content }, index) => {
      assertEquals(role, index % 2 === 0 ? "user" : "assistant");
      assert(content !== "" && content === content.trim() && !content.includes("<|"), content);
    });
  }
});

Deno.test("trainingData() stretches what consists of several parts", () => {
  const long = prose.repeat(4);
  const lengthOf = (recipes: ReturnType<typeof trainingData>["train"]) => (source: string) =>
    recipes.filter((recipe) => recipe.source === source)
      .reduce((sum, { messages }) => sum + messages.reduce((n, m) => n + m.content.length, 0), 0);
  const [short, stretched] = [1, 3].map((stretch) => trainingData(records, long, stretch));
  for (const source of ["texts", "lookups"]) {
    const [before, after] = [short, stretched].map((set) => lengthOf(set?.train ?? [])(source));
    assert((after ?? 0) > 2 * (before ?? 0), `${source}: ${before}, ${after}`);
  }
  assertThrows(() => trainingData(records, long, 0.5), TrainingError, "1 to 8, got 0.5");
  assertThrows(() => trainingData(records, long, NaN), TrainingError, "1 to 8, got NaN");
});

Deno.test("trainingData() hides each statement once, its question first or last", () => {
  const { train } = trainingData(records, prose);
  const lookups = train.filter(({ source }) => source === "lookups");
  assertEquals(lookups.length, 400);
  const contents = lookups.map(({ messages }) => messages[0]?.content ?? "");
  const first = contents.filter((content) => /^[^\n]+\?\n\n/.test(content)).length;
  const last = contents.filter((content) => /\n\n[^\n]+\?$/.test(content)).length;
  assertEquals(first + last, 400);
  assert(first > 150 && last > 150, `${first} first, ${last} last`);
  for (const content of contents) {
    const born = /Where was (\w+) born\?/.exec(content)?.[1];
    if (born !== undefined) assertEquals(content.split(`${born} was born in`).length, 2);
  }
});

Deno.test("trainingData() leaves out longer conversations and names what is broken", () => {
  const long = { source: "wiki", conversations: [{ value: "a" }, { value: "b" }, { value: "c" }] };
  assertEquals(trainingData([...records, long], prose), trainingData(records, prose));
  const broken: [unknown, RegExp][] = [
    [null, /^Cannot use record 241: it has no list of conversations$/],
    [{ source: "xsum" }, /it has no list of conversations$/],
    [
      { conversations: [{ value: "a" }, { value: "b" }] },
      /^Cannot use record 241: it needs a sour/,
    ],
    [
      { source: "xsum", conversations: [{ value: "a" }, { value: 3 }] },
      /it needs a source and two/,
    ],
  ];
  for (const [one, message] of broken) {
    const error = assertThrows(() => trainingData([...records, one], prose), TrainingError);
    assertMatch(error.message, message);
  }
});

Deno.test("trainingData() ends where there is too little of something", () => {
  const refused = (given: typeof records, text = prose) =>
    assertThrows(() => trainingData(given, text), TrainingError).message;
  assertMatch(refused([]), /nothing of a kind to pick from/);
  assertMatch(refused(records.filter(({ source }) => source !== "codegen")), /nothing of a kind/);
  assertMatch(refused(records.filter(({ source }) => !HELD_OUT.has(source))), /nothing of a kind/);
  assertMatch(
    refused(records, prose.slice(0, 3000)),
    /^Cannot hide statements in the prose: it has \d+ sentences, more than 200 are needed$/,
  );
  const huge = records.filter(({ source }) => source !== "codegen");
  assertMatch(
    refused([...huge, record("codegen", 1, 9000)]),
    /all are longer than 5200 characters/,
  );
  // Two such texts do not fit behind each other: a prompt has one.
  const middling = ["xsum", "codegen", "wiki"].map((source) => record(source, 1, 2400));
  const { train } = trainingData(middling, prose);
  assert(train.some(({ source }) => source === "texts"));
});

Deno.test("training_data.ts writes the same bytes again, and refuses bad files with one sentence", async () => {
  await withFolder(async (folder) => {
    const script = fileURLToPath(new URL("../../scripts/training_data.ts", import.meta.url));
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "--allow-read", `--allow-write=${folder}`, script, ...args],
        env: { NO_COLOR: "1" },
      }).output();
      const text = new TextDecoder();
      return { code, out: text.decode(stdout), err: text.decode(stderr).replaceAll(folder, "") };
    };
    const [data, text] = [`${folder}/data.json`, `${folder}/prose.txt`];
    await Deno.writeTextFile(data, JSON.stringify(records));
    await Deno.writeTextFile(text, prose);
    const made = await run(data, text, `${folder}/a`);
    assertEquals([made.code, made.err], [0, ""]);
    assertMatch(
      made.out,
      /^train\.jsonl: \d+ conversations\nheld_out\.jsonl: \d+ conversations\nheld_out_front\.jsonl: \d+ /,
    );
    await run(data, text, `${folder}/b`);
    for (const name of ["train.jsonl", "held_out.jsonl", "held_out_front.jsonl"]) {
      const bytes = await Deno.readFile(`${folder}/a/${name}`);
      assert(bytes.length > 10_000);
      assertEquals(await Deno.readFile(`${folder}/b/${name}`), bytes);
    }
    const many = `${folder}/many.txt`;
    await Deno.writeTextFile(many, prose.repeat(4));
    const more = ["--copying", "24", "--documents", "10", "--tokens", "300,500"];
    const added = await run(data, many, `${folder}/more`, "--seed", "3", ...more);
    assertEquals([added.code, added.err], [0, ""]);
    const counts = [...added.out.matchAll(/^(\w+)\.jsonl: (\d+) /gm)].map(([, ...one]) => one);
    const { train, ...others } = Object.fromEntries(counts);
    assertEquals(others, {
      held_out: counts[1]?.[1],
      held_out_front: counts[1]?.[1],
      copying: "24",
      copying_validation: "3",
      documents: "10",
      documents_validation: "1",
      mixed: `${Number(train) + 24}`,
    });
    const refused = async (...args: string[]) => {
      const { code, out, err } = await run(...args);
      assertEquals([code, out, err.split("\n").length], [2, "", 2], err);
      return err;
    };
    const out = `${folder}/c`;
    assertMatch(await refused(data, text), /^error: usage: training_data.ts CONVERSATIONS.json/);
    assertMatch(
      await refused(`${folder}/none`, text, out),
      /^error: Cannot read \/none: it does not/,
    );
    assertMatch(await refused(text, text, out), /^error: Cannot read \/prose.txt: it is not JSON/);
    assertMatch(await refused(data, text, out, "--copies", "3"), /^error: usage: training_data.ts/);
    assertMatch(
      await refused(data, text, out, "--copying", "few"),
      /^error: Cannot make the sets: --copying must be 0 or more, got few/,
    );
    assertMatch(
      await refused(data, text, out, "--copying", "3"),
      /^error: Cannot make copying tasks of 4000 tokens: the prose of the validation split has \d+; give/,
    );
    await Deno.writeTextFile(data, "{}");
    assertMatch(await refused(data, text, out), /it is not a list of ShareGPT records/);
    await Deno.writeTextFile(data, "[]");
    assertMatch(await refused(data, text, out), /nothing of a kind to pick from/);
    assertEquals([...Deno.readDirSync(folder)].some(({ name }) => name === "c"), false);
  });
});

Deno.test("questionFirst() puts what is asked in front of what it is about", () => {
  const moved = (...contents: readonly string[]) => {
    const messages = contents.map((content, index) => ({
      role: index % 2 === 0 ? "user" as const : "assistant" as const,
      content,
    }));
    const recipe = questionFirst({ source: "task", messages });
    assertEquals([recipe.source, recipe.messages.length], ["task", 1]);
    return recipe.messages[0]?.content;
  };
  assertEquals(moved("A long text.\n\nWho?\n\n- a\n- b"), "Who?\n\n- a\n- b\n\nA long text.");
  assertEquals(moved("Who? \n\nA long text."), "Who? \n\nA long text.");
  assertEquals(moved("One. Two is long. Who?"), "Who?\n\nOne. Two is long.");
  assertEquals(
    moved("First?", "Yes.", "And then?"),
    "And then?\n\nuser: First?\n\nassistant: Yes.",
  );
});
