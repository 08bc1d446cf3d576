import { assert, assertEquals, assertMatch } from "@std/assert";
import { readModelFile } from "../../runtime/model_files/file.ts";
import { runCli } from "./_run_cli.ts";
import { trainCliBench } from "./_train_bench.ts";

Deno.test("kvjudge train measures a model for a policy, which then reads the file", async () => {
  using bench = await trainCliBench();
  const { folder, model, data } = bench;
  const env = { KVJUDGE_HOME: `${folder}/home` };
  const common = ["--model", model, "--threads", "1"];
  const fileOf = (name: string) => `${folder}/${name}.safetensors`;
  const measured = (name: string, own: readonly string[]) => {
    const files = ["--data", data, "--out", fileOf(name)];
    const small = ["--samples", "6", "--response-tokens", "4"];
    return runCli(["train", name, ...common, ...files, ...small, ...own], { env });
  };
  const answered = (policy: string) => {
    const flags = ["-p", policy, "-b", "20", "--max-tokens", "2", "--json", "--raw"];
    return runCli(["generate", ...common, ...flags, "why and how ".repeat(8)], { env });
  };
  const cases: readonly (readonly [string, readonly string[], (file: string) => string])[] = [
    ["lu-kv", ["--policy", "knorm"], (file) => `lu_kv(knorm,curves=${file})`],
    ["duo-attention", ["--sinks", "2", "--recent", "3"], (file) => `duo_attention(heads=${file})`],
    ["kvzap", [], (file) => `kvzap(surrogate=${file},window=8)`],
  ];
  for (const [name, own, policyOf] of cases) {
    const out = fileOf(name);
    const made = await measured(name, own);
    assertEquals(made.code, 0, made.err);
    assertMatch(made.out, /^measured with 6 prompts\n/);
    assert(made.out.endsWith(`made ${out}\n`));
    const { kind, card = {} } = await readModelFile(out);
    assertEquals(kind, name.replaceAll("-", "_"));
    assertMatch(card.command ?? "", new RegExp(`^kvjudge train ${name} --model text-model `));
    assert(own.every((word) => card.command?.includes(word)), card.command);
    const policy = policyOf(out);
    const withFile = await answered(policy);
    assertEquals(withFile.code, 0, withFile.err);
    assert(!withFile.out.includes("no file ships"), withFile.out);
    const none = await answered(policy.replace(/,?\w+=[^,)]*\.safetensors,?/, ""));
    assert(none.out.includes("no file ships for this model"), none.out + none.err);
    assert(none.out.includes(`kvjudge train ${name}`), none.out);
  }
  const other = await answered(`kvzap(surrogate=${fileOf("lu-kv")})`);
  assertEquals(other.code, 2);
  assertMatch(
    other.err,
    /^error: Cannot use .* with policy 'kvzap': it was made for policy 'lu_kv'; make one with/,
  );
});
