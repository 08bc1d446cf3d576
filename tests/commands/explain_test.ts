import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { stripVTControlCharacters } from "node:util";
import { ranges, showExplanation } from "../../commands/_explanation.ts";
import { openGolden } from "../runtime/_golden_file.ts";
import { fixture } from "../_test_model.ts";
import { callCli } from "./_call_cli.ts";
import { testFolder, textModel } from "./_run_cli.ts";

/** A checkpoint whose golden has no tied scores: ties may fall either way. */
const MODEL = "tiny-llama31";

/** Policies with the options that the goldens were made with. */
const POLICIES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  h2o: { recent: 0, normalize: "visible" },
  knorm: {},
  snapkv: { window: 8, kernel: 5, pooling: "avg" },
  streaming_llm: { sinks: 4 },
};

/** Runs `explain --json` on a tiny checkpoint with the prompt of its golden. */
async function explain(model: string, home: string, args: readonly string[]) {
  const ids = JSON.stringify(openGolden(model).integers("input_ids"));
  const { code, out, err } = await callCli(
    ["explain", "--json", "-m", fixture(model), "--ids-file", "-", "--precision", "fp32", ...args],
    { stdin: ids, env: { KVJUDGE_HOME: home } },
  );
  assertEquals([code, err], [0, ""]);
  return JSON.parse(out);
}

for (const [policy, options] of Object.entries(POLICIES)) {
  Deno.test(`kvjudge explain --json keeps what the golden keeps with ${policy}`, async () => {
    using home = testFolder();
    const golden = openGolden(MODEL);
    const { kept, tokens, layers } = golden.settings;
    const args = ["-p", policy, "--options", JSON.stringify(options), "-b", String(kept)];
    const { bytes, ...explanation } = await explain(MODEL, home.path, args);
    assertEquals(explanation, {
      model: fixture(MODEL),
      policy,
      options,
      tokens,
      budget: kept,
      layers: Array.from({ length: layers }, (_, layer) => ({
        layer,
        heads: golden.kept(policy, layer).map((positions) => ({ kept: positions })),
      })),
    });
    assertEquals(bytes.after / bytes.before, kept / tokens);
  });
}

Deno.test("kvjudge explain --scores --logits adds the golden's scores and logits", async () => {
  using home = testFolder();
  const golden = openGolden("tiny-llama");
  const { tokens, kv_heads: kvHeads } = golden.settings;
  const args = ["-p", "knorm", "-b", "24", "--scores", "--logits"];
  const { layers, logits } = await explain("tiny-llama", home.path, args);
  for (const { layer, heads } of layers) {
    const expected = golden.floats(`knorm.scores.${layer}`);
    assertEquals(heads.length, kvHeads);
    for (const [head, { scores }] of heads.entries()) {
      assertEquals(scores.length, tokens);
      for (const [at, score] of scores.entries()) {
        assertAlmostEquals(score, expected[head * tokens + at] ?? NaN, 1e-4);
      }
    }
  }
  const last = golden.floats("logits").slice(-logits.length);
  assertEquals(logits.length, 320);
  for (const [id, logit] of logits.entries()) assertAlmostEquals(logit, last[id] ?? NaN, 1e-3);
});

Deno.test("kvjudge explain counts a ratio and bytes in tokens, and full keeps them all", async () => {
  using home = testFolder();
  const budget = async (...args: string[]) => (await explain("tiny-llama", home.path, args)).budget;
  assertEquals(await budget("-p", "knorm", "-b", "0.25"), 24);
  assertEquals(await budget("-p", "knorm", "-b", "16KB"), 20);
  assertEquals(await budget("-p", "knorm", "-b", "200"), 200);
  assertEquals(await budget("-p", "full", "-b", "8"), 96);
});

Deno.test("kvjudge explain tells people what was kept", async () => {
  using home = testFolder();
  const model = await textModel(home.path);
  const question = "Mill Lane has twelve houses and one inn.";
  const { code, out, err } = await callCli(
    ["explain", "-m", model, "-p", "knorm", "-b", "6", question],
    { env: { KVJUDGE_HOME: home.path } },
  );
  assertEquals([code, err], [0, ""]);
  assertMatch(out, /^knorm on .*text-model: \d+ tokens, 2 layers, 4 KV heads$/m);
  assertMatch(out, /^kept by each head: 6$/m);
  assertMatch(out, /^ +\d+% +\d+ {2}".*"$/m);
});

Deno.test("kvjudge explain shows the text in shades where colours are forced, else as ever", async () => {
  using home = testFolder();
  const model = await textModel(home.path);
  const args = ["explain", "-m", model, "-p", "knorm", "-b", "6", "\u001b[2J Mill\tLane"];
  const run = async (env: Readonly<Record<string, string>>, ...more: readonly string[]) => {
    const { code, out, err } = await callCli([...args, ...more], {
      env: { KVJUDGE_HOME: home.path, ...env },
    });
    assertEquals([code, err], [0, ""]);
    return out;
  };
  const colored = await run({ FORCE_COLOR: "3", NO_COLOR: "" });
  assertMatch(colored, /\[48;2;\d+;\d+;\d+m/);
  const bare = stripVTControlCharacters(colored);
  assertMatch(bare, /^\[user\]␛\[2J Mill⇥ {3}Lane\[assistant\]$/m);
  assertMatch(bare, /^knorm on .*: \d+ tokens, 2 layers, 4 KV heads$/m);
  const plain = await run({ FORCE_COLOR: "3", NO_COLOR: "1" });
  assertMatch(plain, /^knorm on /);
  assertEquals(plain, await run({}));
  const one = await run({}, "--layer", "1", "--head", "0");
  assertMatch(one, /^looked at: layer 1, KV head 0\nknorm on .*, 1 layer, 1 KV head$/m);
  assertMatch(one, /^kept by all heads: 6 .*\nkept by some: 0, /m);
});

Deno.test("kvjudge explain names the layers there are before it reads", async () => {
  using home = testFolder();
  const model = await textModel(home.path);
  const { code, out, err } = await callCli(["explain", "-m", model, "--layer", "2", "x"], {
    env: { KVJUDGE_HOME: home.path },
  });
  assertEquals([code, out], [2, ""]);
  assertEquals(
    err,
    "error: Cannot show layer 2: the model's layers are 0 to 1; " +
      "give --layer one of them, or leave it out for all\n",
  );
});

Deno.test("kvjudge explain refuses a budget below what the policy protects", async () => {
  using home = testFolder();
  const model = await textModel(home.path);
  const { code, out, err } = await callCli(
    ["explain", "-m", model, "-p", "streaming_llm", "-b", "2", "Mill Lane has twelve houses."],
    { env: { KVJUDGE_HOME: home.path } },
  );
  assertEquals([code, out], [2, ""]);
  assertMatch(err, /^error: [^\n]*2[^\n]*streaming_llm[^\n]*\n$/);
});

Deno.test("showExplanation() separates what all heads, some and none keep", () => {
  const head = (...kept: number[]) => ({ kept });
  const text = showExplanation({
    model: "m",
    policy: "p",
    options: {},
    tokens: 8,
    budget: 3,
    layers: [
      { layer: 0, heads: [head(0, 1, 4), head(0, 1, 5)] },
      { layer: 1, heads: [head(0, 1, 4), head(0, 1, 4)] },
    ],
    bytes: { before: 8192, after: 3072 },
  }, (at) => `token ${at}`);
  assertMatch(text, /cache: 8\.0 KiB before, 3\.0 KiB after/);
  assertMatch(text, /kept by all heads: 2 \(0-1\)\nkept by some: 2, by none: 4\n/);
  assert(text.indexOf("75%         4  token 4") < text.indexOf("25%         5  token 5"));
});

Deno.test("ranges() joins neighbours", () => {
  assertEquals(ranges([]), "");
  assertEquals(ranges([0, 1, 2, 5, 7, 8]), "0-2, 5, 7-8");
});

Deno.test("kvjudge explain shows which layers slide, and counts the others", async () => {
  using home = testFolder();
  const golden = openGolden("tiny-gemma3");
  const args = ["-p", "snapkv(window=8,kernel=5,pooling=avg)", "-b", "24", "--scores"];
  const { layers, budget } = await explain("tiny-gemma3", home.path, args);
  assertEquals(budget, 24);
  const last = Array.from({ length: 31 }, (_, index) => 65 + index);
  for (const { layer, window, heads } of layers) {
    const [{ kept, scores }] = heads;
    const slides = layer < 2;
    assertEquals(window, slides ? 32 : undefined);
    assertEquals(kept, slides ? last : golden.kept("snapkv", layer)[0]);
    assertEquals(scores?.length, slides ? undefined : 96);
  }
  const ids = JSON.stringify(golden.integers("input_ids"));
  const text = async (...more: string[]) => {
    const { code, out, err } = await callCli(
      ["explain", "-m", fixture("tiny-gemma3"), "--ids-file", "-", "-p", "knorm", ...more],
      { stdin: ids, env: { KVJUDGE_HOME: home.path } },
    );
    assertEquals([code, err], [0, ""]);
    return out;
  };
  const whole = await text("-b", "24");
  assertMatch(whole, /: 96 tokens, 4 layers, 4 KV heads\n/);
  assertMatch(whole, /^layers that slide: 0-1 \(window 32, 31 tokens kept\)$/m);
  assertMatch(whole, /^kept by each head: 24$/m);
  assertMatch(await text("-b", "24", "--layer", "1"), /^kept by each head: 31$/m);
  // Of the bytes that windows leave, global layers get the rest.
  assertMatch(await text("-b", "60KiB"), /^kept by each head: \d+$/m);
  const { code, err } = await callCli(
    ["explain", "-m", fixture("tiny-gemma3"), "--ids-file", "-", "-p", "knorm", "-b", "4KiB"],
    { stdin: ids, env: { KVJUDGE_HOME: home.path } },
  );
  assertEquals(code, 2);
  assertMatch(
    err,
    /in 2 global layers, and the windows of 2 others take \d+; give at least \d+\n$/,
  );
});

Deno.test("kvjudge explain says of a model whose layers all slide that nothing is evicted", async () => {
  using home = testFolder();
  const ids = JSON.stringify(openGolden("tiny-mistral-window").integers("input_ids"));
  const model = ["-m", fixture("tiny-mistral-window"), "--ids-file", "-", "-b", "8"];
  const { code, out, err } = await callCli(["explain", "-p", "snapkv(window=4)", ...model], {
    stdin: ids,
    env: { KVJUDGE_HOME: home.path },
  });
  assertEquals([code, err], [0, ""]);
  assertMatch(out, /^layers that slide: 0-2 \(window 32, 31 tokens kept\)$/m);
  assertMatch(out, /^every layer shown slides: nothing is evicted from it$/m);
  const answered = await callCli(["generate", "--json", "-n", "3", "-p", "knorm", ...model], {
    stdin: ids,
    env: { KVJUDGE_HOME: home.path },
  });
  const { stats } = JSON.parse(answered.out);
  assertEquals(stats.notes.length, 1);
  assertMatch(stats.notes[0], /every layer of this model slides/);
});
