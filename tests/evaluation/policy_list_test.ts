import { assertEquals, assertRejects } from "@std/assert";
import { parsePolicies } from "../../evaluation/policy_list.ts";
import { OptionError } from "../../policies/policy.ts";

Deno.test("parsePolicies() reads numbers, words, paths, JSON and quoted text", async () => {
  const text = "h2o(recent=0, normalize=visible), oracle(ids=[4,5]),random()," +
    'judge_q(softTokens=runs/a-1.safetensors,kernel=1),judge-q(softTokens="a, (b) c",window=0)';
  const policies = await parsePolicies(text);
  assertEquals(policies.map(({ policy }) => [policy.name, policy.options]), [
    ["h2o", { recent: 0, normalize: "visible" }],
    ["oracle", { ids: [4, 5] }],
    ["random", { seed: 0 }],
    ["judge_q", {
      softTokens: "runs/a-1.safetensors",
      draft: 4,
      reach: 32,
      window: 32,
      group: "max",
      share: "layer",
      kernel: 1,
      pooling: "avg",
    }],
    ["judge_q", {
      softTokens: "a, (b) c",
      draft: 4,
      reach: 32,
      window: 0,
      group: "max",
      share: "layer",
      kernel: 5,
      pooling: "avg",
    }],
  ]);
  assertEquals(policies.map(({ label }) => label), [
    "h2o(recent=0,normalize=visible)",
    "oracle(ids=[4,5])",
    "random()",
    "judge_q(softTokens=runs/a-1.safetensors,kernel=1)",
    'judge-q(softTokens="a, (b) c",window=0)',
  ]);
});

Deno.test("parsePolicies() gives defaults to a policy without options only", async () => {
  const defaults = { oracle: { tokens: 8 } };
  const policies = await parsePolicies("oracle,oracle(ids=[1]),random", { defaults });
  assertEquals(policies.map(({ policy }) => policy.options), [
    { tokens: 8 },
    { ids: [1] },
    { seed: 0 },
  ]);
});

const MISTAKES: Readonly<Record<string, string>> = {
  "": "Cannot read an empty list of policies",
  "random,": 'Cannot read "" as a policy',
  "snapvk": "did you mean 'snapkv'?",
  "snapkv(windw=8)": "it has no option 'windw'; did you mean 'window'?",
  "snapkv(window=0)": "option 'window' must be an integer of at least 1, got 0",
  "snapkv(window)": "Cannot read \"window\" as an option of 'snapkv': write name=value",
  "snapkv(random)": "as an option of 'snapkv'",
  "snapkv(window=8": "its brackets or quotes do not match",
  "snapkv(window=8]": "its brackets or quotes do not match",
  'judge_q(softTokens="a)': "its brackets or quotes do not match",
  "snapkv(window=8,window=9)": "Cannot give option 'window' of 'snapkv' twice",
  "snapkv window=8": 'Cannot read "snapkv window=8" as a policy',
  "random,h2o, random": "Cannot use policy 'random' twice",
};

for (const [text, message] of Object.entries(MISTAKES)) {
  Deno.test(`parsePolicies() refuses ${JSON.stringify(text)}`, async () => {
    await assertRejects(() => parsePolicies(text), OptionError, message);
  });
}
