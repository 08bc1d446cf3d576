import { assert, assertEquals } from "@std/assert";
import { callCli } from "./_call_cli.ts";
import { type CliOptions, testFolder, textModel } from "./_run_cli.ts";

interface Answer {
  readonly text: string;
  readonly finish_reason: string;
  readonly stats: { readonly prompt_tokens: number };
}

async function answer(args: readonly string[], options: CliOptions): Promise<Answer> {
  const { code, out, err } = await callCli(["generate", "--json", ...args], options);
  assertEquals([code, err], [0, ""]);
  return JSON.parse(out);
}

Deno.test("kvjudge generate reads a user's control tokens as text, unless they are allowed", async () => {
  using home = testFolder();
  const model = await textModel(home.path);
  const env = { KVJUDGE_HOME: home.path };
  const tokens = async (text: string, ...flags: string[]) => {
    const { stats } = await answer(["-m", model, "-n", "1", ...flags, text], { env });
    return stats.prompt_tokens;
  };
  const plain = await tokens("a");
  assertEquals(await tokens("a<|end|>", "--allow-control-tokens"), plain + 1);
  assert(await tokens("a<|end|>") > plain + 2);
  assertEquals(await tokens("a<|end|>b", "--raw", "--allow-control-tokens"), 3);
  assert(await tokens("a<|end|>b", "--raw") > 5);
});

Deno.test("kvjudge generate --json-schema answers in JSON that the schema allows", async () => {
  using home = testFolder();
  const model = await textModel(home.path);
  const env = { KVJUDGE_HOME: home.path };
  const schema = `${home.path}/schema.json`;
  await Deno.writeTextFile(
    schema,
    JSON.stringify({
      type: "object",
      properties: { mood: { enum: ["glad", "sad"] }, score: { type: "integer", maximum: 99 } },
      required: ["mood", "score"],
      additionalProperties: false,
    }),
  );
  for (const sampling of [[], ["--temperature", "1.5", "--seed", "3"]]) {
    const { text, finish_reason } = await answer(
      ["-m", model, "-n", "200", "--json-schema", schema, ...sampling, "How is it?"],
      { env },
    );
    const { mood, score } = JSON.parse(text);
    assert(["glad", "sad"].includes(mood) && score <= 99, text);
    assertEquals(finish_reason, "stop");
  }
  const refuse = async (text: string, message: string) => {
    await Deno.writeTextFile(schema, text);
    const { code, err } = await callCli(
      ["generate", "-m", model, "--json-schema", schema, "Hi"],
      { env },
    );
    assertEquals(code, 2);
    assert(err.includes(message) && !err.includes("    at "), err);
  };
  await refuse('{"not": {}}', "# has not, which is not supported");
  await refuse("{", "--json-schema must hold a JSON schema");
  await refuse("[]", "--json-schema must hold a JSON schema");
});
