import { assert, assertEquals, assertMatch } from "@std/assert";
import { serveModules } from "../plugins/_serve.ts";
import { callCli } from "./_call_cli.ts";
import { testFolder, textModel } from "./_run_cli.ts";

const PROMPT = "several words of a prompt ".repeat(8);

/** Keeps the newest tokens; the body may do something else before. */
const newest = (body = "") =>
  `export default ({ sinks = 0 }: { sinks?: number } = {}) => ({
    name: "newest",
    options: { sinks },
    evidence: { kind: "none" as const },
    protect: { sinks },
    async score({ kvHeads, length }: { kvHeads: number; length: number }) {
      ${body}
      return Float32Array.from({ length: kvHeads * length }, (_, index) => index % length);
    },
  });`;

/** A model, a plugin in a file, and the same plugin on the loopback. */
async function prepare() {
  const folder = testFolder();
  const model = await textModel(folder.path);
  const file = `${folder.path}/newest.ts`;
  await Deno.writeTextFile(file, newest());
  const server = serveModules({
    "newest.ts": newest('console.log("\\u001b[31mhello");'),
    "hangs.ts": "export default () => { throw new Error('boom\\nboom'); };",
    "nan.ts": newest("return new Float32Array(kvHeads * length).fill(NaN);"),
    "thief.ts": newest('Deno.readTextFileSync("/etc/hostname");'),
  });
  const run = (command: readonly string[], policy: readonly string[]) =>
    callCli([...command, "-m", model, ...policy], { env: { KVJUDGE_HOME: folder.path } });
  return {
    ...{ server, file, run },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

Deno.test("kvjudge explain takes a policy by path, by URL and inside another, with options", async () => {
  await using given = await prepare();
  const url = given.server.url("newest.ts");
  const command = ["explain", "--json", "-b", "8", PROMPT];
  const kept = async (...policy: string[]) => {
    const { code, out, err } = await given.run(command, policy);
    assertEquals(code, 0, err);
    const { policy: name, options, layers } = JSON.parse(out);
    return { name, options, kept: layers[0].heads[0].kept, layers, err };
  };
  const file = await kept("-p", given.file);
  assertEquals([file.name, file.options, file.kept.length], ["newest", { sinks: 0 }, 8]);
  assertEquals(file.kept[7] - file.kept[0], 7);
  const sinks = await kept("-p", `${given.file}(sinks=2)`);
  assertEquals([sinks.options, sinks.kept.slice(0, 2)], [{ sinks: 2 }, [0, 1]]);
  const json = await kept("-p", given.file, "--options", '{"sinks":2}');
  assertEquals(json.layers, sinks.layers);
  const remote = await kept("-p", `${url}(sinks=2)`);
  assertEquals(remote.layers, sinks.layers);
  assertMatch(remote.err, /^policy: hello$/m);
  const inner = await kept("-p", `chunk_kv(${url}(sinks=2))`);
  assertEquals([inner.name, inner.kept.length], ["chunk_kv", 8]);
});

Deno.test("kvjudge generate and eval take policies by path and URL", async () => {
  await using given = await prepare();
  const url = given.server.url("newest.ts");
  const generate = ["generate", "--json", "-b", "8", "-n", "4", PROMPT];
  const near = await given.run(generate, ["-p", given.file]);
  const far = await given.run(generate, ["-p", url]);
  assertEquals([near.code, far.code], [0, 0], near.err + far.err);
  assertEquals(JSON.parse(far.out).ids, JSON.parse(near.out).ids);
  const prompts = `${given.file}.jsonl`;
  await Deno.writeTextFile(prompts, `${JSON.stringify({ prompt: PROMPT })}\n`);
  const list = `random,${given.file}(sinks=1),${url}`;
  const command = [
    "eval",
    "hit_rate",
    "-f",
    prompts,
    "-b",
    "8",
    "--response-tokens",
    "2",
    "--json",
  ];
  const measured = await given.run(command, ["-p", list]);
  assertEquals(measured.code, 0, measured.err);
  const { policies, results } = JSON.parse(measured.out);
  assertEquals(policies.map(({ name }: { name: string }) => name), ["random", "newest", "newest"]);
  assertEquals(results.length, 3);
});

Deno.test("kvjudge exits with 2 and a sentence where a policy cannot be used", async () => {
  await using given = await prepare();
  const command = ["generate", "-b", "8", "-n", "2", PROMPT];
  const { server, file } = given;
  const sentences: Readonly<Record<string, RegExp>> = {
    [`${file}x.ts`]: /there is no such file; give the path of a module/,
    [server.url("gone.ts")]: /Module not found .* \(the server answers 404\)/,
    [server.url("hangs.ts")]: /Cannot make the policy of .*: boom$/,
    [server.url("nan.ts")]: /the score of token 0 for KV head 0 is NaN, it must be a number/,
    [server.url("thief.ts")]: /Policy 'newest' failed in layer 0: Requires read access/,
    [`${file}(sinks=1`]: /its brackets or quotes do not match/,
    "http://127.0.0.1:1/x.ts": /[Cc]onnection refused/,
    "snapvk": /did you mean 'snapkv'/,
  };
  for (const [policy, sentence] of Object.entries(sentences)) {
    const { code, out, err } = await given.run(command, ["-p", policy]);
    assertEquals([code, out], [2, ""], policy);
    assertMatch(err, /^error: [^\n]+\n$/);
    assertMatch(err.trimEnd(), sentence);
  }
});

Deno.test("kvjudge --trust lets a stranger's policy do what kvjudge may do", async () => {
  await using given = await prepare();
  const command = ["explain", "-b", "8", "--trust", PROMPT];
  const { code, out, err } = await given.run(command, ["-p", given.server.url("thief.ts")]);
  assertEquals(code, 0, err);
  assertMatch(out, /^newest on /);
});

Deno.test("kvjudge policies check says what a policy breaks, and exits with 2", async () => {
  await using given = await prepare();
  const good = await callCli(["policies", "check", given.file]);
  assertEquals([good.code, good.err], [0, ""]);
  assertMatch(good.out, /^newest: scorer, evidence none\n +ok +scores every token/);
  assertMatch(good.out, /\n +advice +refuses unknown options/);
  const bad = await callCli(["policies", "check", given.server.url("nan.ts")]);
  assertEquals(bad.code, 2);
  assertMatch(
    bad.out,
    /\n +broken +scores every token with a finite number\n +score\(\) gives NaN/,
  );
  assertMatch(bad.err, /^error: Policy 'newest' breaks \d+ of 12 checks; mend what is marked as/);
  const json = await callCli(["policies", "check", "--json", `${given.file}(sinks=3)`]);
  const report = JSON.parse(json.out);
  assertEquals([report.name, report.results.length, report.results[0].outcome], [
    "newest",
    12,
    "ok",
  ]);
  const own = await callCli(["policies", "check", "snapkv(window=8)"]);
  assertEquals(own.code, 0);
  assert(!/broken|advice/.test(own.out), own.out);
  const none = await callCli(["policies", "check", `${given.file}x.ts`]);
  assertEquals([none.code, none.out], [2, ""]);
  assertMatch(none.err, /^error: Cannot load the policy .*: there is no such file/);
});
