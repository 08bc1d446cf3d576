import { assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import { Command, EnumType, ValidationError } from "@cliffy/command";

interface Call {
  readonly options: Record<string, unknown>;
  readonly args: readonly unknown[];
  readonly literal: readonly string[];
  readonly raw: readonly string[];
}

/** Parses a line with one command that has every kind of option and returns what its action got. */
async function parse(...line: string[]): Promise<Call> {
  const calls: Call[] = [];
  await new Command()
    .name("kv")
    .noExit()
    .type("precision", new EnumType(["auto", "fp32"]))
    .arguments("[question:string]")
    .option("-m, --model <name:string>", "Model.", { default: "tiny" })
    .option("--precision <precision:precision>", "Precision.", { default: "auto" as const })
    .option("--max-tokens <n:integer>", "Tokens.")
    .option("--top-p <p:number>", "Nucleus.")
    .option("--stop <text:string>", "Stop.", { collect: true })
    .option("--raw", "Raw.", { conflicts: ["system"] })
    .option("--system <text:string>", "System.")
    .option("--scores", "Scores.", { depends: ["json"] })
    .option("--json", "JSON.")
    .action(function (options, question) {
      const maxTokens: number | undefined = options.maxTokens;
      const stop: string[] | undefined = options.stop;
      const model: string = options.model;
      const precision: "auto" | "fp32" = options.precision;
      const text: string | undefined = question;
      calls.push({
        options: { ...options, maxTokens, stop, model, precision },
        args: [text],
        literal: this.getLiteralArgs(),
        raw: this.getRawArgs(),
      });
    })
    .parse(line);
  const [call] = calls;
  if (!call) throw new Error("the action did not run");
  return call;
}

const refusals: readonly [string, string[], string | RegExp][] = [
  ["a word for an integer", ["--max-tokens", "ten"], /"--max-tokens".*type "integer".*"ten"/],
  ["a fraction for an integer", ["--max-tokens", "1.5"], /type "integer", but got "1.5"/],
  ["a word for a number", ["--top-p", "x"], /"--top-p" must be of type "number", but got "x"/],
  ["a value outside of an enumeration", ["--precision", "fp64"], /Expected values: "auto", "fp32"/],
  ["a missing value", ["--model"], 'Missing value for option "--model".'],
  ["a value for a flag", ["--json=1"], `Option "--json" doesn't take a value, but got "1".`],
  ["an option twice", ["--model", "a", "--model", "b"], /"--model" can only occur once/],
  ["conflicting options", ["--raw", "--system", "x"], /"--raw" conflicts with option "--system"/],
  ["an option without the one it needs", ["--scores"], /"--scores" depends on option "--json"/],
  ["more arguments than declared", ["a", "b"], "Too many arguments: b"],
  ["an unknown option behind the arguments", ["a", "--modle", "x"], /"--modle".*option "--model"/],
];

for (const [what, line, message] of refusals) {
  Deno.test(`Command.parse() refuses ${what}`, async () => {
    const error = await assertRejects(() => parse(...line), ValidationError);
    assertEquals(error.exitCode, 2);
    if (typeof message === "string") assertEquals(error.message, message);
    else assertMatch(error.message, message);
  });
}

Deno.test("Command.parse() gives typed options, defaults and the argument", async () => {
  const { options, args } = await parse("--max-tokens=-3", "why?", "--top-p", "0.5", "--json");
  assertEquals(args, ["why?"]);
  assertEquals(options.maxTokens, -3);
  assertEquals(options.topP, 0.5);
  assertEquals(options.json, true);
  assertEquals(options.model, "tiny");
  assertEquals(options.precision, "auto");
});

Deno.test("Command.parse() takes short flags and collects repeated options in order", async () => {
  const { options } = await parse("-m", "a", "--stop", "x", "--stop", "y");
  assertEquals([options.model, options.stop], ["a", ["x", "y"]]);
});

Deno.test("Command.parse() takes a lone dash as an argument and a dashed value as a value", async () => {
  assertEquals((await parse("-")).args, ["-"]);
  assertEquals((await parse("--system", "--json")).options.system, "--json");
});

Deno.test("Command.parse() leaves out empty values and an empty argument", async () => {
  const { options, args, raw } = await parse("", "--system", "");
  assertEquals([args, options.system, raw], [[undefined], undefined, ["", "--system", ""]]);
});

Deno.test("Command.getLiteralArgs() has what stands behind a double dash", async () => {
  const { args, literal } = await parse("a", "--", "--json", "b");
  assertEquals([args, literal], [["a"], ["--json", "b"]]);
});

Deno.test("Command.type() takes a function, which may refuse an argument", async () => {
  const command = new Command().noExit()
    .type("word", ({ label, name, value }) => {
      if (value.startsWith("-")) throw new ValidationError(`${label} ${name}: ${value}`);
      return value.length;
    })
    .arguments("<word:word>")
    .action((_options, length) => assertEquals(length, 3));
  await command.parse(["abc"]);
  await assertRejects(() => command.parse(["--abc"]), ValidationError, "Argument word: --abc");
  await assertRejects(() => command.parse([]), ValidationError, "Missing argument(s): word");
});

Deno.test("Command.command() runs a subcommand by name and refuses an unknown one", async () => {
  const calls: string[][] = [];
  const root = () =>
    new Command().name("kv").noExit()
      .action(() => {
        calls.push(["root"]);
      })
      .command(
        "policies",
        new Command().description("List.").action(() => {
          calls.push(["policies"]);
        }),
      )
      .command(
        "later",
        new Command().description("Raw.").useRawArgs().action((_options, ...line) => {
          calls.push(line);
        }),
      );
  await root().parse(["policies"]);
  await root().parse(["later", "--help", "-x", "--", "y"]);
  await root().parse([]);
  assertEquals(calls, [["policies"], ["--help", "-x", "--", "y"], ["root"]]);
  const unknown = await assertRejects(() => root().parse(["polices"]), ValidationError);
  assertEquals(unknown.message, 'Unknown command "polices". Did you mean command "policies"?');
  await assertRejects(
    () => root().parse(["policies", "x"]),
    ValidationError,
    'No arguments allowed for command "kv policies".',
  );
});

Deno.test("Command.option() can demand an option", async () => {
  const command = () =>
    new Command().noExit().option("--data <file:string>", "Data.", { required: true })
      .action(({ data }) => {
        const file: string = data;
        assertEquals(file, "x");
      });
  await command().parse(["--data", "x"]);
  const error = await assertRejects(() => command().parse([]));
  assertInstanceOf(error, ValidationError);
  assertEquals(error.message, 'Missing required option "--data".');
});

Deno.test("Command.getOptions() lists every spelling", () => {
  const command = new Command().option("-m, --model <name:string>", "Model.");
  const flags = command.getOptions().flatMap((option) => option.flags);
  assertEquals(flags.filter((flag) => flag.includes("m")), ["-m", "--model"]);
});

/** Runs a small program in a process of its own, where help and exits can be seen. */
async function runProcess(...line: string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-env", "--allow-read", import.meta.url, ...line],
    env: { NO_COLOR: "1", KV_HOME: "/models" },
  }).output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), err: text.decode(stderr) };
}

Deno.test("Command.parse() prints help with options, commands, variables and examples", async () => {
  const { code, out } = await runProcess("--help");
  assertEquals(code, 0);
  assertMatch(out, /Usage:\s+kv/);
  assertMatch(out, /Evicts\./);
  assertMatch(out, /-m, --model\s+<name>.*Which model\..*Default: "tiny"/);
  assertMatch(out, /sub\s.*A subcommand\./);
  assertMatch(out, /KV_HOME\s.*Folder\./);
  assertMatch(out, /Short:\s+kv sub/);
});

Deno.test("Command.parse() prints the version, long and short", async () => {
  assertEquals((await runProcess("--version")).out, "kv 1.2.3\n");
  assertEquals((await runProcess("-V")).out, "1.2.3\n");
});

Deno.test("Command.parse() prints help and the error and exits with 2", async () => {
  const { code, out, err } = await runProcess("--model");
  assertEquals(code, 2);
  assertMatch(out, /Usage:/);
  assertMatch(err, /error: Missing value for option "--model"\./);
});

Deno.test("Command.env() gives the action the variable", async () => {
  assertEquals((await runProcess()).out, "tiny /models\n");
});

if (import.meta.main) {
  await new Command()
    .name("kv").version("1.2.3").description("Evicts.").help({ colors: false })
    .option("-m, --model <name:string>", "Which model.", { default: "tiny" })
    .env("KV_HOME=<folder:string>", "Folder.")
    .example("Short:", "kv sub")
    .action((options) => console.log(options.model, options.kvHome))
    .command("sub", new Command().description("A subcommand.").action(() => {}))
    .parse(Deno.args);
}
