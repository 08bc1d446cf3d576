import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { createPolicy } from "../../policies/create.ts";
import { h2o } from "../../policies/h2o.ts";
import { judgeQ } from "../../policies/judge_q.ts";
import { knorm } from "../../policies/knorm.ts";
import { oracle } from "../../policies/oracle.ts";
import { type Evidence, OptionError, type Policy } from "../../policies/policy.ts";
import { snapKv } from "../../policies/snapkv.ts";
import { streamingLlm } from "../../policies/streaming_llm.ts";
import type { Budget } from "../../runtime/evict/budget.ts";
import {
  BudgetError,
  CheckpointError,
  EvidenceError,
  FetchError,
  KvjudgeError,
  PolicyError,
  PromptError,
} from "../../runtime/errors.ts";
import { loadModel } from "../../runtime/model.ts";
import type { Prompt } from "../../runtime/tokenizer/prompt.ts";
import { writeFolder, writeGguf } from "../_random_checkpoint.ts";
import { fixture, newSequence, randomIds, tinyModel } from "../_test_model.ts";
import { withFolder } from "../_temp_folder.ts";

const IDS = randomIds(96, 320);

/** One sentence for a user: it names the action and has no stack. */
function assertReadable(error: Error): void {
  assert(/^(Cannot|Policy) /.test(error.message), error.message);
  assert(!error.message.includes("\n") && !/undefined|\[object/.test(error.message), error.message);
}

Deno.test("session refuses an empty prompt", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = test.model.session({ policy: knorm() });
  const message = "Cannot read an empty prompt: give some text";
  assertThrows(() => session.generate({ ids: [] }), PromptError, message);
  await assertRejects(() => session.read({ ids: [] }), PromptError, message);
});

Deno.test("session refuses a prompt that leaves no room in the context", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = test.model.session({ policy: knorm() });
  for (const tokens of [512, 513, 5000]) {
    const ids = new Array<number>(tokens).fill(5);
    const message =
      `Cannot read a prompt of ${tokens} tokens: the model's context is 512 tokens and ` +
      "the answer needs at least one; shorten the prompt";
    assertThrows(() => session.generate({ ids }), PromptError, message);
    await assertRejects(() => session.read({ ids }), PromptError, message);
  }
  assertEquals((await session.read({ ids: new Array<number>(511).fill(5) })).tokens, 511);
});

Deno.test("session refuses ids that are no tokens of the model", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = test.model.session({ policy: knorm() });
  for (const id of [-1, 320, 1.5, NaN]) {
    assertThrows(
      () => session.generate({ ids: [3, id] }),
      PromptError,
      `Cannot read token id ${id}: ids must be integers from 0 to 319`,
    );
  }
});

Deno.test("a Gemma folder or file without its tokenizer runs on ids, and says why not on text", async () => {
  await withFolder(async (folder) => {
    const spec = { family: "gemma3", window: 8, layers: 3, tied: true };
    await writeFolder(folder, spec);
    await writeGguf(`${folder}/x.gguf`, spec);
    const reasons = {
      [folder]: `${folder} has no tokenizer.json`,
      [`${folder}/x.gguf`]: "the GGUF file has none (tokenizer.ggml.model is missing)",
    };
    for (const [path, reason] of Object.entries(reasons)) {
      await using model = await loadModel(path, { precision: "fp32", threads: 1, home: folder });
      await using session = model.session({ policy: knorm(), budget: 16 });
      const error = await assertRejects(
        () => session.read({ text: "Hello" }),
        CheckpointError,
        reason,
      );
      assertReadable(error);
      assert(error.message.includes("token ids"), error.message);
      const { kept } = await session.read({ ids: IDS.slice(0, 20).map((id) => id % 80) });
      assertEquals(kept.map((heads) => heads[0]?.length), [7, 16, 7]);
    }
  });
});

Deno.test("session refuses text where the checkpoint has no tokenizer", async () => {
  await using test = await tinyModel("tiny-llama");
  await using session = test.model.session({ policy: knorm() });
  const prompts: Prompt[] = [{ text: "Hello" }, { messages: [{ role: "user", content: "Hello" }] }];
  for (const prompt of prompts) {
    assertThrows(() => session.generate(prompt), CheckpointError, "give the prompt as token ids");
    await assertRejects(() => session.read(prompt), CheckpointError, "has no tokenizer.json");
  }
});

Deno.test("session refuses budgets that keep nothing or are no numbers", async () => {
  await using test = await tinyModel("tiny-llama");
  const tokens = "tokens must be an integer of at least 1; give tokens such as 256, a ratio kept";
  const cases: [Budget, string][] = [
    [0, `Cannot use 0 tokens as a budget: ${tokens}`],
    [-5, `Cannot use -5 tokens as a budget: ${tokens}`],
    [NaN, `Cannot use NaN tokens as a budget: ${tokens}`],
    [Infinity, `Cannot use Infinity tokens as a budget: ${tokens}`],
    [2.5, `Cannot use 2.5 tokens as a budget: ${tokens}`],
    [
      { ratio: 0 },
      "Cannot use a ratio of 0 as a budget: a ratio kept must be above 0 and at most 1",
    ],
    [{ ratio: -0.1 }, "Cannot use a ratio of -0.1 as a budget"],
    [{ ratio: NaN }, "Cannot use a ratio of NaN as a budget"],
    [{ ratio: 1.2 }, "Cannot use a ratio of 1.2 as a budget"],
    [{ bytes: -1 }, "Cannot use -1 bytes as a budget: bytes must be an integer of at least 1"],
    [[], "Cannot use an empty list of layers as a budget"],
  ];
  for (const [budget, message] of cases) {
    const error = assertThrows(
      () => test.model.session({ policy: knorm(), budget }),
      BudgetError,
      message,
    );
    assertReadable(error);
  }
});

Deno.test("session refuses a budget that its prompt or its model cannot use", async () => {
  await using test = await tinyModel("tiny-llama");
  await using few = test.model.session({ policy: knorm(), budget: { bytes: 100 } });
  await assertRejects(
    () => few.read({ ids: IDS }),
    BudgetError,
    "Cannot evict to a budget of 100 bytes: one token per KV head takes 792 bytes in 3 layers",
  );
  await using two = test.model.session({ policy: knorm(), budget: [5, 5] });
  await assertRejects(
    () => two.read({ ids: IDS }),
    BudgetError,
    "Cannot use a budget for 2 layers: the model has 3",
  );
});

Deno.test("session keeps everything under a budget above the length, and says so", async () => {
  await using test = await tinyModel("tiny-llama");
  for (const budget of [96, 97, 1e9, { ratio: 1 }, { bytes: 1e12 }]) {
    await using session = test.model.session({ policy: snapKv(), budget });
    const { kept, bytes } = await session.read({ ids: IDS });
    assertEquals(kept.map((heads) => heads.map(({ length }) => length)), [[96, 96], [96, 96], [
      96,
      96,
    ]]);
    assertEquals(bytes.before, bytes.after);
    assertEquals(session.stats().notes, [
      "nothing was evicted: the budget covers the prompt's 96 tokens",
    ]);
  }
});

Deno.test("session refuses a budget smaller than the protected tokens", async () => {
  await using test = await tinyModel("tiny-llama");
  const cases: [Policy, string][] = [
    [snapKv({ window: 32 }), "policy 'snapkv': it always keeps 32 (0 first, 32 last)"],
    [judgeQ({ window: 32 }), "policy 'judge_q': it always keeps 32 (0 first, 32 last)"],
    [h2o({ recent: 20 }), "policy 'h2o': it always keeps 20 (0 first, 20 last)"],
  ];
  for (const [policy, message] of cases) {
    await using session = test.model.session({ policy, budget: 16 });
    const error = await assertRejects(() => session.read({ ids: IDS }), BudgetError, message);
    assert(error.message.startsWith("Cannot keep 16 of 96 tokens in layer 0"), error.message);
    assert(error.message.includes("let the policy protect fewer"), error.message);
  }
  await using sinks = test.model.session({ policy: streamingLlm({ sinks: 20 }), budget: 16 });
  await assertRejects(() => sinks.read({ ids: IDS }), BudgetError, "16");
});

Deno.test("createPolicy() suggests the policy and the option that were meant", async () => {
  const unknown = await assertRejects(
    () => createPolicy("snapvk"),
    OptionError,
    "did you mean 'snapkv'?",
  );
  assertReadable(unknown);
  await assertRejects(() => createPolicy("h20"), OptionError, "did you mean 'h2o'?");
  await assertRejects(
    () => createPolicy("snapkv", { windw: 8 }),
    OptionError,
    "did you mean 'window'?",
  );
  await assertRejects(
    () => createPolicy("snapkv", { window: "8" }),
    OptionError,
    "'window' must be an integer",
  );
});

Deno.test("loadModel() says what is wrong with a path or a name", async () => {
  await withFolder(async (home) => {
    const load = (source: string) => loadModel(source, { home });
    await assertRejects(() => load("./nowhere"), FetchError, "there is no such file or folder");
    await assertRejects(
      () => load("smollm2-135m"),
      FetchError,
      "did you mean smollm2-135m-instruct?",
    );
    await assertRejects(() => load(home), CheckpointError, "Cannot");
    const precision = "fp16";
    const tiny = fixture("tiny-llama");
    for (const threads of [0, 1.5, 1025]) {
      await assertRejects(
        () => loadModel(tiny, { home, threads }),
        KvjudgeError,
        `Cannot run on ${threads} threads: 'threads' must be an integer from 1 to 1024`,
      );
    }
    await assertRejects(
      () => Reflect.apply(loadModel, undefined, [tiny, { home, precision }]),
      KvjudgeError,
      "Cannot run in precision 'fp16': it must be one of auto, fp32, int8, int4",
    );
    await assertRejects(
      () => loadModel(tiny, { home, precision: "int4" }),
      CheckpointError,
      "int4 takes over Q4_0, Q4_1 and Q4_K weights",
    );
  });
});

Deno.test("loadModel() refuses a GGUF file that was cut off, wherever", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/model.gguf`;
    await writeGguf(path, {}, { type: "Q8_0" });
    const { size } = await Deno.stat(path);
    for (const length of [0, 3, 10, 200, Math.floor(size / 2), size - 40]) {
      await writeGguf(path, {}, { type: "Q8_0" });
      await Deno.truncate(path, length);
      const error = await assertRejects(() => loadModel(path, { home: folder }), CheckpointError);
      assertReadable(error);
      assert(error.message.includes(path), error.message);
    }
  });
});

Deno.test("loadModel() refuses a safetensors file that was cut off, wherever", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/model.safetensors`;
    await writeFolder(folder);
    const { size } = await Deno.stat(path);
    for (const length of [0, 3, 8, 200, Math.floor(size / 2), size - 1]) {
      await writeFolder(folder);
      await Deno.truncate(path, length);
      const error = await assertRejects(() => loadModel(folder, { home: folder }), CheckpointError);
      assertReadable(error);
      assert(error.message.includes(path), error.message);
    }
  });
});

Deno.test("session names the policy that breaks its contract, and how", async () => {
  await using test = await tinyModel("tiny-llama");
  const make = (policy: object) =>
    ({ name: "odd", evidence: { kind: "none" }, ...policy }) as Policy;
  const cases: [Policy, string][] = [
    [
      make({ score: () => new Float32Array(5) }),
      "must give a Float32Array of 2 × 96 = 192 numbers, got 5",
    ],
    [make({ score: () => [1, 2] }), "got Array"],
    [make({ score: () => undefined }), "got Undefined"],
    [
      make({ score: () => new Float32Array(192).fill(NaN) }),
      "the score of token 0 for KV head 0 is NaN",
    ],
    [make({ select: () => [] }), "one array for each of 2 KV heads, got 0"],
    [
      make({ select: () => [new Int32Array(24), new Int32Array(24)] }),
      "must ascend and not repeat",
    ],
    [
      make({
        select: (_: unknown, keep: number) =>
          [0, 1].map(() => Int32Array.from({ length: keep }, (_, i) => i + 90)),
      }),
      "keeps token 96, there are 0 to 95",
    ],
    [make({ score: () => Promise.reject(new Error("no luck")) }), "failed in layer 0: no luck"],
    [
      make({ score: () => new Float32Array(192), protect: { sinks: -1 } }),
      "'sinks' of what it protects",
    ],
    [
      make({ score: () => new Float32Array(192), allocate: () => [1, 2] }),
      "one number for each of 3 layers, got 2",
    ],
    [make({ score: () => new Float32Array(192), allocate: () => [24, 24, 25] }), "it gave 73"],
  ];
  for (const [policy, message] of cases) {
    await using session = test.model.session({ policy, budget: 24 });
    const error = await assertRejects(() => session.read({ ids: IDS }), PolicyError, message);
    assert(error.message.includes("'odd'"), error.message);
    assert(!error.message.includes("\n"), error.message);
  }
});

Deno.test("session refuses evidence that cannot be gathered", async () => {
  await using test = await tinyModel("tiny-llama");
  const policy = (evidence: Evidence): Policy => ({
    name: "odd",
    evidence,
    score: (layer) => layer.groupAttention(),
  });
  const soft = (count: number, hidden: number, value = 0.1, fingerprint?: string): Evidence => ({
    kind: "soft",
    tokens: () => ({
      count,
      hidden,
      embeddings: new Float32Array(count * hidden).fill(value),
      trained: true,
      ...(fingerprint === undefined ? {} : { fingerprint }),
    }),
  });
  const cases: [Evidence, new (message: string) => Error, string][] = [
    [{ kind: "none" }, EvidenceError, "the policy declares evidence without queries"],
    [{ kind: "window", size: 0 }, PolicyError, "window must be an integer of at least 1, got 0"],
    [{ kind: "window", size: NaN }, PolicyError, "at least 1, got NaN"],
    [
      { kind: "given", queries: { kind: "tokens", ids: [] } },
      PromptError,
      "an answer without tokens",
    ],
    [
      { kind: "given", queries: { kind: "tokens", ids: [3, 320] } },
      PromptError,
      "Cannot use 320 as a token",
    ],
    [
      { kind: "given", queries: { kind: "tokens", ids: [-1] } },
      PromptError,
      "Cannot use -1 as a token",
    ],
    [
      soft(4, 32),
      CheckpointError,
      "Cannot use soft tokens of size 32: the model's embeddings have size 64",
    ],
    [soft(0, 64), CheckpointError, "0 tokens of size 64"],
    [soft(2, 64, NaN), CheckpointError, "some of their numbers are not finite"],
    [soft(2, 64, 0.1, "abc"), CheckpointError, "of a model with fingerprint abc"],
  ];
  for (const [evidence, type, message] of cases) {
    await using session = test.model.session({ policy: policy(evidence), budget: 24 });
    await assertRejects(() => session.read({ ids: IDS }), type, message);
    assertEquals(session.stats().bytes.now, 0);
  }
  await using session = test.model.session({ policy: oracle({ ids: [1000] }), budget: 24 });
  await assertRejects(() => session.read({ ids: IDS }), PromptError, "integers from 0 to 319");
});

Deno.test("model refuses to run after it is closed, and closes twice", async () => {
  const test = await tinyModel("tiny-llama");
  const session = test.model.session({ policy: knorm(), budget: 24 });
  await test[Symbol.asyncDispose]();
  await test.model[Symbol.asyncDispose]();
  const message = "Cannot run the model: it is closed; load it again";
  const sequence = newSequence(test.model.engine);
  await assertRejects(() => test.model.engine.probe(sequence, { ids: IDS }), KvjudgeError, message);
  await assertRejects(() => session.read({ ids: IDS }), KvjudgeError, message);
  assertThrows(() => test.model.session({ policy: knorm() }), KvjudgeError, message);
});
