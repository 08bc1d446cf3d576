import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parseCard } from "../../runtime/soft_tokens/card.ts";
import { readSoftTokens } from "../../runtime/soft_tokens/read.ts";
import { readModelFile } from "../../runtime/model_files/file.ts";
import { callCli } from "./_call_cli.ts";
import { trainCliBench } from "./_train_bench.ts";

const PROMPT = ["-b", "30", "-n", "4", "--json", "more than thirty tokens ".repeat(8)];

Deno.test("kvjudge train restore-kv makes what restore_kv uses, and its card repeats", async () => {
  using bench = await trainCliBench();
  const { folder, model, data } = bench;
  const env = { KVJUDGE_HOME: `${folder}/home` };
  const out = `${folder}/restore.safetensors`;
  const given = ["--model", model, "--data", data, "--threads", "1", "--samples", "4"];
  const small = ["--validate", "2", "--response-tokens", "4", "--tokens", "3", "--init", "random"];
  const args = ["train", "restore-kv", ...given, ...small, "--out", out, "-p", "keydiff"];
  const made = await callCli(args, { env });
  assertEquals(made.code, 0, made.err);
  assertMatch(made.out, /^4 steps, held-out loss \S+ to \S+\nsoft tokens .*\n$/);
  const { count, card = {} } = await readSoftTokens(out);
  assertEquals(count, 3);
  const { command = "", settings } = parseCard(card);
  assertMatch(
    command,
    /^kvjudge train restore-kv --model \S+ --data data\.jsonl .*--policy keydiff/,
  );
  assert(!JSON.stringify(card).includes(folder), "a card names no folder");
  assertEquals(settings?.tokens, 3);

  const policy = `restore_kv(keydiff,softTokens=${out})`;
  const answered = await callCli(["generate", "--model", model, "-p", policy, ...PROMPT], { env });
  assertEquals(answered.code, 0, answered.err);
  const { stats } = JSON.parse(answered.out);
  assertEquals(new Set(stats.kept.flat()), new Set([30]));
  assertEquals(stats.notes, []);

  const again = await callCli(args, { env });
  assertEquals(again.code, 2);
  assertMatch(again.err, /there is a file of that name/);
  const refused: readonly (readonly [flag: string, value: string, sentence: string])[] = [
    [
      "--least",
      "0.6",
      "--least and --most must be two shares above 0 and below 1, the smaller first",
    ],
    ["--warmup", "1.5", "--warmup must be a share of the steps from 0 to 1, got 1.5"],
    ["--seed", "-1", "--seed must be an integer of at least 0, got -1"],
    ["--lr", "0", "--lr must be a finite number above 0, got 0"],
    ["--clip", "0", "--clip must be above 0, got 0"],
  ];
  for (const [flag, value, sentence] of refused) {
    const wrong = await callCli([...args, `${flag}=${value}`], { env });
    assertEquals(wrong.code, 2, wrong.out);
    assertStringIncludes(wrong.err, `error: Cannot train: ${sentence}`);
  }
});

for (
  const [command, kind, option] of [
    ["q-filters", "q_filters", "filters"],
    ["tri-attention", "tri_attention", "centres"],
  ] as const
) {
  Deno.test(`kvjudge train ${command} makes what ${kind} uses`, async () => {
    using bench = await trainCliBench();
    const { folder, model, data } = bench;
    const env = { KVJUDGE_HOME: `${folder}/home` };
    const out = `${folder}/made.safetensors`;
    const given = ["--model", model, "--data", data, "--threads", "1", "--samples", "3"];
    const made = await callCli(["train", command, ...given, "--out", out], { env });
    assertEquals(made.code, 0, made.err);
    assertMatch(made.out, /^measured with 3 prompts\nqueries \d+\nmade /);
    const file = await readModelFile(out);
    assertEquals(file.kind, kind);
    assert(Object.values(file.tensors).every(({ data }) => data.some((value) => value !== 0)));
    const policy = `${kind}(${option}=${out})`;
    const answered = await callCli(["generate", "--model", model, "-p", policy, ...PROMPT], {
      env,
    });
    assertEquals(answered.code, 0, answered.err);
    const { stats } = JSON.parse(answered.out);
    assertEquals(new Set(stats.kept.flat()), new Set([30]));
    assertEquals(stats.notes, []);
  });
}
