import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ConstraintError } from "../../../runtime/errors.ts";
import {
  type ConstraintSpec,
  createConstraintCompiler,
} from "../../../runtime/sampling/constraint.ts";
import { createSampler } from "../../../runtime/sampling/sampler.ts";
import { maskLogits } from "../../../runtime/sampling/token_mask.ts";
import { processorSeconds } from "../../_processor_time.ts";
import { accepts, constrain, END, isAllowed } from "./_byte_vocabulary.ts";

Deno.test("a constraint ends where nothing may follow, and allows the end where it may end", () => {
  const constraint = constrain({ kind: "choice", choices: ["a", "ab"] });
  assertEquals(isAllowed(constraint.mask(), END), false);
  constraint.accept(0x61);
  assertEquals([constraint.done, isAllowed(constraint.mask(), END)], [false, true]);
  const ended = constraint.fork();
  ended.accept(END);
  assertEquals(ended.done, true);
  constraint.accept(0x62);
  assertEquals(constraint.done, true);
  constraint.accept(END);
  assertThrows(() => constraint.accept(END), ConstraintError, `token id ${END}`);
});

Deno.test("a constraint refuses what it does not allow and stays where it was", () => {
  const constraint = constrain({ kind: "choice", choices: ["yes", "no"] });
  assertThrows(() => constraint.accept(0x61), ConstraintError, "Cannot accept token id 97");
  assertThrows(() => constraint.accept(END), ConstraintError);
  assertThrows(() => constraint.accept(9999), ConstraintError);
  constraint.accept(0x6e);
  assertEquals(isAllowed(constraint.mask(), 0x6f), true);
});

Deno.test("a fork goes on by itself", () => {
  const constraint = constrain({ kind: "json_object" });
  constraint.accept(0x7b);
  const fork = constraint.fork();
  constraint.accept(0x7d);
  assertEquals([constraint.done, fork.done], [true, false]);
  assertEquals(isAllowed(fork.mask(), 0x22), true);
});

Deno.test("a mask allows exactly the tokens whose bytes may follow", () => {
  const specs: ConstraintSpec[] = [
    { kind: "json_object" },
    { kind: "json_schema", schema: { type: "string", minLength: 2, maxLength: 40 } },
    { kind: "regex", pattern: "[^x]{0,70}y" },
  ];
  const tokens = ["a", '"', '{"', '":', "xy", "ééé", "aaaaaaaa", "y"].map((text) =>
    new TextEncoder().encode(text)
  );
  const compiler = createConstraintCompiler({
    vocabulary: tokens.length,
    tokenBytes: (id) => tokens[id] ?? new Uint8Array(),
  }, []);
  for (const spec of specs) {
    const constraint = compiler.compile(spec);
    for (let steps = 0; steps < 80 && !constraint.done; steps++) {
      const mask = constraint.mask();
      const allowed = tokens.keys().filter((id) => isAllowed(mask, id)).toArray();
      for (const id of tokens.keys()) {
        let taken = true;
        try {
          constraint.fork().accept(id);
        } catch {
          taken = false;
        }
        assertEquals(allowed.includes(id), taken, `${JSON.stringify(spec)} ${steps} ${id}`);
      }
      const next = allowed[steps % allowed.length];
      if (next === undefined) break;
      constraint.accept(next);
    }
  }
});

Deno.test("a regular expression holds for the whole text, beyond ASCII too", () => {
  const regex = (pattern: string, text: string) => accepts({ kind: "regex", pattern }, text);
  assert(regex("a(b|c)+\\d{2}[^x]", "abcb12é"));
  assertEquals(regex("a(b|c)+", "xab"), false);
  assert(regex("\\p{Lu}\\w*\\s漢?.", "Éa_1 漢😀"));
  assertEquals(regex("\\p{Lu}\\w*\\s漢?.", "éa_1 漢😀"), false);
  assert(regex("\\p{Lu}[é-ü]*\\s漢?.", "Ééü 漢😀"));
  assertEquals(regex("[é-ü]", "ý"), false);
  assertEquals(regex(".", "\n"), false);
  assert(regex("(?:^a$|b)", "a"));
  assertThrows(() => constrain({ kind: "regex", pattern: "a{20000}" }), ConstraintError, "repeats");
  assertThrows(() => constrain({ kind: "choice", choices: [] }), ConstraintError, "no choice");
});

Deno.test("patterns of strangers that could mean too much are refused, others stay fast", () => {
  const start = processorSeconds();
  for (
    const pattern of [
      "((((.{0,99}){0,99}){0,99}){0,99}){0,99}x",
      "(a{0,1000}){0,1000}",
      "a*a*a*a*a*a*a*a*b",
      "(a|aa|aaa){0,5000}b",
    ]
  ) accepts({ kind: "regex", pattern }, "a".repeat(40));
  assert(accepts({ kind: "regex", pattern: "(?:a{1,3}){2,4}" }, "a".repeat(12)));
  assertEquals(accepts({ kind: "regex", pattern: "(?:a{1,3}){2,4}" }, "a".repeat(13)), false);
  assertEquals(accepts({ kind: "regex", pattern: "(?:a{2,3}){2}" }, "aaa"), false);
  const open = Array.from({ length: 60 }, (_, at) => `(?:[ab]{0,${90 + at}}c?)`).join("");
  assertThrows(
    () => accepts({ kind: "regex", pattern: open }, "ab".repeat(50)),
    ConstraintError,
    "too many ways",
  );
  assert(processorSeconds() - start < 20);
});

Deno.test("calls of tools follow their schemas, alone or within text", () => {
  const tools = [
    {
      name: "get_weather",
      parameters: {
        type: "object",
        properties: { city: { type: "string" } },
        required: ["city"],
        additionalProperties: false,
      },
    },
    { name: "now" },
  ];
  const call = (name: string, given: string) =>
    `<tool_call>\n{"name": "${name}", "arguments": ${given}}\n</tool_call>`;
  const weather = call("get_weather", '{"city": "Oslo"}');
  const now = call("now", "{}");
  const check = (
    required: boolean,
    parallel: boolean,
    right: readonly string[],
    wrong: readonly string[],
  ) => {
    const spec = { kind: "tools", tools, required, parallel } as const;
    for (const text of right) assert(accepts(spec, text), text);
    for (const text of wrong) assertEquals(accepts(spec, text), false, text);
  };
  const bad = [call("get_weather", "{}"), call("other", "{}"), "<tool_call>no"];
  check(true, true, [weather, `${weather}\n${now}`], ["", "text", `${now} `, ...bad]);
  check(true, false, [now], [`${now}\n${now}`]);
  check(
    false,
    true,
    ["", "<tool", "Let me see: " + weather, `${now}\n${weather} and <tool_calls`, "<<tool_call"],
    ["x" + bad[0], ...bad, "<<tool_call>x"],
  );
  check(false, false, ["text", now, `a ${now}`], [`${now}\n${now}`]);
  const loose = { name: "find", parameters: { not: {} } };
  assert(accepts({ kind: "tools", tools: [loose], required: true }, call("find", '{"a":1}')));
  assertEquals(
    accepts({ kind: "tools", tools: [loose], required: true }, call("find", "1")),
    false,
  );
  assertThrows(
    () => constrain({ kind: "tools", tools: [{ ...loose, strict: true }], required: true }),
    ConstraintError,
    "# has not",
  );
  assertThrows(
    () => constrain({ kind: "tools", tools: [], required: true }),
    ConstraintError,
    "there are none",
  );
});

Deno.test("createSampler() draws only what a mask allows, greedily and at random", () => {
  const logits = Float32Array.of(5, 4, 3, 2);
  const mask = Int32Array.of(0b1100);
  assertEquals(createSampler().next(logits, new Set(), mask), 2);
  const sampler = createSampler({ temperature: 2, seed: 3, repetitionPenalty: 1.5 });
  const drawn = new Set(
    Array.from({ length: 60 }, () => sampler.next(logits, new Set([2]), mask)),
  );
  assertEquals(drawn, new Set([2, 3]));
  assertEquals([...maskLogits(logits, Int32Array.of(-1))], [...logits]);
  assertEquals([...maskLogits(logits, new Int32Array())], Array(4).fill(-Infinity));
});

Deno.test("createConstraintCompiler() wants tokens that have bytes", () => {
  assertThrows(
    () => createConstraintCompiler({ vocabulary: 3, tokenBytes: () => new Uint8Array() }, []),
    ConstraintError,
    "no tokenizer",
  );
});

Deno.test("a constraint that is prepared in slices is the one that is compiled at once", async () => {
  // Sorting so many takes some hundred milliseconds.
  const vocabulary = 60_000;
  const texts = Array.from(
    { length: vocabulary },
    (_, id) => id < 128 ? String.fromCharCode(id) : `${(id * 7919 % 46_656).toString(36)}${id % 7}`,
  );
  const tokenizer = {
    vocabulary,
    tokenBytes: (id: number) => new TextEncoder().encode(texts[id] ?? ""),
  };
  const spec = { kind: "json_object" } as const;
  let pauses = 0;
  const pause = () => Promise.resolve(void pauses++);
  const compiler = createConstraintCompiler(tokenizer, []);
  // Two at once sort the vocabulary once.
  const [sliced, other] = await Promise.all([1, 2].map(() => compiler.prepare(spec, pause)));
  assert(sliced && other);
  assert(pauses > 2, `${pauses} pauses`);
  const whole = createConstraintCompiler(tokenizer, []).compile(spec);
  for (const character of '{"a": [1, {"b": "\\n"}], "c": null}') {
    await sliced.prepare(pause);
    assertEquals(sliced.mask(), whole.mask());
    for (const one of [sliced, whole]) one.accept(character.charCodeAt(0));
  }
  assertEquals([sliced.done, whole.done], [true, true]);
  // Whoever gives up leaves nothing half for the next one.
  const failing = createConstraintCompiler(tokenizer, []);
  await assertRejects(() => failing.prepare(spec, () => Promise.reject(new Error("enough"))));
  assertEquals((await failing.prepare(spec, pause)).mask(), other.mask());
});
