import { assertEquals, assertThrows } from "@std/assert";
import { parseOptions } from "../../bench/options.ts";
import { KvjudgeError } from "../../runtime/errors.ts";

Deno.test("parseOptions sorts the lengths and leaves the rest at its defaults", () => {
  const { lengths, rounds, precision, json } = parseOptions(["--lengths", "2048,512"]);
  assertEquals({ lengths, rounds, precision, json }, {
    lengths: [512, 2048],
    rounds: 3,
    precision: "auto",
    json: false,
  });
});

Deno.test("parseOptions lets other options overrule --quick", () => {
  const { lengths, rounds } = parseOptions(["--quick", "--rounds", "2"]);
  assertEquals({ lengths, rounds }, { lengths: [512], rounds: 2 });
});

Deno.test("parseOptions measures snapkv and the policies that are named, each once", () => {
  assertEquals(parseOptions([]).policies, ["snapkv", "judge_q", "h2o"]);
  assertEquals(parseOptions(["--policies", "tova, snapkv"]).policies, ["snapkv", "tova"]);
  assertEquals(parseOptions(["--policies", ""]).policies, ["snapkv"]);
});

Deno.test("parseOptions reads shapes, and 2,048 tokens with them unless told otherwise", () => {
  const { shapes, shapeTokens } = parseOptions(["--shape", "1.3b, 8b"]);
  assertEquals({ shapes, shapeTokens }, { shapes: ["1.3b", "8b"], shapeTokens: 2048 });
  assertEquals(parseOptions(["--shape", "tiny", "--lengths", "64"]).shapeTokens, 64);
  assertEquals(parseOptions([]).shapes, []);
});

for (
  const [args, message] of [
    [["--lengths", "512,x"], "Cannot use --lengths x"],
    [["--lengths", ""], "Cannot use --lengths"],
    [["--rounds", "0"], "Cannot use --rounds 0"],
    [["--precision", "int3"], "Cannot measure precision 'int3'"],
    [["--policies", "snap"], "Cannot measure policy 'snap': give some of ada_kv,"],
    [["--shape", "9b"], "Cannot measure shape '9b': give some of 8b, 1.3b, tiny"],
    [["--fast"], "see --help"],
  ] as const
) {
  Deno.test(`parseOptions refuses ${args.join(" ")}`, () => {
    assertThrows(() => parseOptions(args), KvjudgeError, message);
  });
}
