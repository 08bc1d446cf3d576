import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseCard } from "../../runtime/soft_tokens/card.ts";
import { readSoftTokens } from "../../runtime/soft_tokens/read.ts";
import { readLog } from "../../training/log.ts";
import { callCli } from "./_call_cli.ts";
import { type TrainCliBench, trainCliBench } from "./_train_bench.ts";

Deno.test("kvjudge train makes tokens, log, curves and a state, and tells what it does", async () => {
  using bench = await trainCliBench();
  const { folder } = bench;
  const { code, out, err } = await bench.run("soft.safetensors", "--epochs", "2");
  assertEquals(code, 0, err);
  assertEquals(bench.made(), ["soft.jsonl", "soft.safetensors", "soft.svg", "soft.work"]);
  assertMatch(out, /^6 steps, loss \d\S* to \d\S*\n/);
  for (const name of ["soft.safetensors", "soft.jsonl", "soft.svg"]) {
    assert(out.includes(`${folder}/${name}\n`), out);
  }
  assertMatch(
    err,
    /^targets: 8 made, 0 found\nstep 0: validation loss .*hit rate .* % at 64.*\nstep 6: validation loss .*\n$/,
  );
  assertEquals((await readLog(`${folder}/soft.jsonl`)).length, 7);
  assert((await Deno.readTextFile(`${folder}/soft.svg`)).startsWith("<svg"));
});

Deno.test("kvjudge train --json prints one object and nothing else", async () => {
  using bench = await trainCliBench();
  const { out, err } = await bench.run("soft.safetensors", "--epochs", "1", "--json");
  const result = JSON.parse(out);
  assertEquals(out.split("\n").length, 2, err);
  assertEquals(result.steps, 3);
  assertEquals(result.paths.out, `${bench.folder}/soft.safetensors`);
  assertEquals(typeof result.lossStart, "number");
  assertEquals(Object.keys(result.validation), ["loss", "hitRate", "attentionMass"]);
});

for (const [command, policy] of [["judge-q", "judge_q"], ["lookahead-kv", "lookahead_kv"]]) {
  Deno.test(`kvjudge train ${command} makes what ${policy} uses, inspect prints and its card repeats`, async () => {
    using bench = await trainCliBench();
    const { folder, model } = bench;
    const env = { KVJUDGE_HOME: `${folder}/home` };
    const adapted = command === "lookahead-kv" ? ["lookahead-kv", "--rank", "2"] : [];
    const made = await bench.run("soft.safetensors", ...adapted, "--epochs", "2", "--seed", "3");
    assertEquals(made.code, 0, made.err);
    const path = `${folder}/soft.safetensors`;

    const inspected = await callCli(["inspect", path, "--model", model, "--json"], { env });
    assertEquals(inspected.code, 0, inspected.err);
    const { tokens, adapters, fit, card } = JSON.parse(inspected.out);
    assertEquals([tokens, adapters?.rank, fit.fits], [4, adapted.length > 0 ? 2 : undefined, true]);
    assertEquals(card.settings.seed, 3);
    assert(!JSON.stringify(card).includes(folder), "a card names no folder");

    const options = JSON.stringify({ softTokens: path });
    const flags = ["--model", model, "-p", `${policy}`, "--options", options, "-b", "40"];
    const prompt = ["-n", "4", "--json", "more than forty tokens ".repeat(8)];
    const answered = await callCli(["generate", ...flags, ...prompt], { env });
    assertEquals(answered.code, 0, answered.err);
    // Its heads share what a layer keeps.
    for (const heads of JSON.parse(answered.out).stats.kept) {
      assertEquals(heads.reduce((sum: number, count: number) => sum + count, 0), 40 * heads.length);
    }

    // The names in a card are those of files in the folder that one stands in.
    const [name, ...words] = `${card.command}`.split(" ");
    const again = words.map((word, index) =>
      ["--model", "--data"].includes(words[index - 1] ?? "")
        ? `${folder}/${word}`
        : words[index - 1] === "--out"
        ? `${folder}/again.safetensors`
        : word
    );
    assertEquals(name, "kvjudge");
    const repeated = await callCli([...again, "--threads", "1"], { env });
    assertEquals(repeated.code, 0, repeated.err);
    const [first, second] = await Promise.all([
      readSoftTokens(path),
      readSoftTokens(`${folder}/again.safetensors`),
    ]);
    assertEquals(second.embeddings, first.embeddings);
    assertEquals(second.adapters, first.adapters);
    assertEquals(
      parseCard(second.card ?? {}).command,
      card.command.replace("soft.safetensors", "again.safetensors"),
    );
  });
}

Deno.test("kvjudge train saves its state at Ctrl-C and says how to go on", async () => {
  using bench = await trainCliBench();
  const args = ["--epochs", "200", "--validate-every", "10"];
  const child = bench.start("soft.safetensors", ...args);
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let err = "";
  while (!err.includes("step 10:")) {
    const { value, done } = await reader.read();
    assert(!done, err);
    err += value;
  }
  child.kill("SIGINT");
  for (let part = await reader.read(); !part.done; part = await reader.read()) err += part.value;
  const { code } = await child.status;
  await child.stdout.cancel();
  assertEquals(code, 130, err);
  const step = Number(
    /stopped after step (\d+); the same command with --resume goes on\n$/.exec(err)?.[1],
  );
  assert(step >= 9, err);
  assertEquals(bench.made(), ["soft.jsonl", "soft.work"]);

  const refused = await bench.run("soft.safetensors", ...args);
  assertEquals([refused.code, refused.out], [2, ""]);
  assertMatch(
    refused.err,
    /^error: Cannot train into .*: the state of an earlier run lies there; go on with --resume, /,
  );
  const resumed = await bench.run("soft.safetensors", ...args, "--resume");
  assertEquals(resumed.code, 0, resumed.err);
  const log = await readLog(`${bench.folder}/soft.jsonl`);
  assertEquals(log.map(({ step }) => step), Array.from({ length: 601 }, (_, step) => step));
});

async function refused(bench: TrainCliBench, flags: readonly string[]): Promise<string> {
  const before = bench.made();
  const { code, out, err } = await bench.run("soft.safetensors", ...flags);
  assertEquals([code, out], [2, ""], err);
  assertEquals(bench.made(), before);
  const [line = "", hint = "", ...rest] = err.split("\n");
  assert(rest.length === 0 || rest.join() === "" && hint.startsWith("hint: "), err);
  return line;
}

Deno.test("kvjudge train refuses flags out of range with one sentence and leaves nothing", async () => {
  using bench = await trainCliBench();
  const { folder } = bench;
  Deno.writeTextFileSync(`${folder}/taken.safetensors`, "");
  const refusals: [string[], RegExp][] = [
    [["--tokens", "0"], /^error: Cannot train: --tokens must be an integer of at least 1, got 0$/],
    [["--save-every", "0"], /--save-every must be an integer of at least 1, got 0$/],
    [["--lr", "0"], /--lr must be a finite number above 0, got 0$/],
    [["--threads", "0"], /^error: Cannot run on 0 threads/],
    [["--loss", "foo"], /Option "--loss" must be of type "loss", but got "foo"/],
    [["--seed", "1.5"], /Option "--seed" must be of type "integer", but got "1.5"/],
    [["--init", "nofile"], /^error: Cannot start from nofile: there is no file of that name; give/],
    [["--resume"], /^error: Cannot resume .*: there is no interrupted run of it; start it without/],
    [["--data", `${folder}/none`], /^error: Cannot read .*: it does not exist; give a file of/],
    [["--model", "nomodel"], /^error: Cannot find model "nomodel"/],
    [["--out", ""], /^error: (Cannot train into "": the name is empty|Missing value)/],
    [["--out", `${folder}/no/x`], /^error: Cannot train into .*: there is no folder .*; make it/],
    [
      ["--out", `${folder}/taken.safetensors`],
      /: there is a file of that name; remove it or choose/,
    ],
    [
      ["--out", `${folder}/data.safetensors`],
      /: the run would overwrite .*data.jsonl, which it reads/,
    ],
    [
      ["--rank", "2"],
      /^error: Option "--rank" is for adapters, which only kvjudge train lookahead-kv/,
    ],
    [["lookahead-kv", "--projections", "q,z"], /"--projections" must list some of q, k, .*got "z"/],
    [["lookahead-kv", "--adapter-lr", "0"], /--adapter-lr must be a finite number above 0, got 0$/],
  ];
  for (const [flags, message] of refusals) assertMatch(await refused(bench, flags), message);
});

Deno.test("kvjudge train says where it may not write, and leaves nothing", async () => {
  using bench = await trainCliBench();
  const home = `${bench.folder}/home`;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--allow-read", "--allow-env", "--allow-ffi", "--allow-sys"],
      ...[`--allow-write=${home}`, new URL("../../cli.ts", import.meta.url).pathname],
      ...bench.args("soft.safetensors"),
    ],
    env: { KVJUDGE_HOME: home, NO_COLOR: "1" },
  }).output();
  const err = new TextDecoder().decode(stderr);
  assertEquals([code, stdout.length], [2, 0], err);
  assertMatch(
    err,
    /^error: Cannot write .*soft\.work: writing there is not permitted; choose another folder\n$/,
  );
  assertEquals(bench.made(), []);
});
