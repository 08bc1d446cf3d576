import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { pathToFileURL } from "node:url";
import { parseExpression } from "../../plugins/expression.ts";
import { loadPolicy } from "../../plugins/load_policy.ts";
import { OptionError } from "../../policies/policy.ts";
import { PolicyError } from "../../runtime/errors.ts";

const PLAIN = `export default (options: object = {}) => ({
  name: "mine",
  evidence: { kind: "none" as const },
  options,
  score: ({ kvHeads, length }: { kvHeads: number; length: number }) =>
    new Float32Array(kvHeads * length),
});`;

/** Writes plugins into a folder that vanishes. */
async function folderOf(files: Readonly<Record<string, string>>) {
  const path = await Deno.makeTempDir();
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${path}/${name}`, text);
  }
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

async function optionsOf(source: string | URL, options = {}): Promise<unknown> {
  await using loaded = await loadPolicy(source, options);
  return loaded.policy.options;
}

Deno.test("loadPolicy() takes names, paths, file URLs and expressions of them", async () => {
  await using folder = await folderOf({ "mine.ts": PLAIN, "odd (1), name.ts": PLAIN });
  const path = `${folder.path}/mine.ts`;
  const url = pathToFileURL(path);
  assertEquals(await optionsOf("snapkv"), { window: 32, kernel: 7, pooling: "max" });
  assertEquals(await optionsOf("Streaming-LLM(sinks=2)"), { sinks: 2 });
  assertEquals(await optionsOf(path), {});
  assertEquals(await optionsOf(`${path}(a=1,b=x)`), { a: 1, b: "x" });
  assertEquals(await optionsOf(`${path}()`), {});
  assertEquals(await optionsOf(url), {});
  assertEquals(await optionsOf(`${url.href}(a=[1,2])`), { a: [1, 2] });
  assertEquals(await optionsOf(`"${folder.path}/odd (1), name.ts"(a=1)`), { a: 1 });
  assertEquals(await optionsOf(path, { options: { a: 5 } }), { a: 5 });
  assertEquals(await optionsOf("random", { options: { seed: 5 } }), { seed: 5 });
});

Deno.test("loadPolicy() finds a relative path from the working folder", async () => {
  await using folder = await folderOf({ "mine.ts": PLAIN });
  const before = Deno.cwd();
  Deno.chdir(folder.path);
  try {
    assertEquals(await optionsOf("./mine.ts(a=1)"), { a: 1 });
    assertEquals(await optionsOf("mine.ts"), {});
  } finally {
    Deno.chdir(before);
  }
});

Deno.test("loadPolicy() gives a wrapper the policy that stands first in its parentheses", async () => {
  const wrapper = `export default ({ inner, ...options }: any) => ({
    ...inner,
    name: "outer",
    options: { inner: inner.name, of: inner.options, ...options },
  });`;
  await using folder = await folderOf({ "mine.ts": PLAIN, "outer.ts": wrapper });
  assertEquals(
    await optionsOf(`${folder.path}/outer.ts(${folder.path}/outer.ts(snapkv(window=8)),share=0.5)`),
    {
      inner: "outer",
      of: { inner: "snapkv", of: { window: 8, kernel: 7, pooling: "max" } },
      share: 0.5,
    },
  );
  const [mine, outer] = [`${folder.path}/mine.ts`, `${folder.path}/outer.ts`];
  assertEquals(
    await optionsOf(`chunk_kv(${mine}(a=1))`).then(JSON.stringify).then((text) =>
      text.includes("mine(a=1)")
    ),
    true,
  );
  await assertRejects(
    () => optionsOf(`${outer}(${mine},inner=5)`),
    OptionError,
    "Cannot give option 'inner'",
  );
});

const BROKEN_FILES: Readonly<Record<string, readonly [code: string, message: RegExp]>> = {
  "has no default export": ["export const x = 1;", /has no default export; write 'export default/],
  "exports no function": ["export default {};", /default export must be a function, got object/],
  "has a syntax error": ["export default () => {{;", /: SyntaxError: .*plugin\.ts:1:\d+\)$/],
  "throws when it is imported": ["throw new Error('boom');", /Cannot load .*plugin\.ts: boom/],
  "throws when it is called": [
    "export default () => { throw new Error('boom\\nat once'); };",
    /Cannot make the policy of .*plugin\.ts: boom$/,
  ],
  "imports what is not there": ["import './gone.ts';", /Module not found .*gone\.ts/],
  "returns no policy": ["export default () => 'snapkv';", /must return an object .* got snapkv$/],
  "has a name for people": [
    "export default () => ({ name: 'My Policy', score() {}, evidence: { kind: 'none' } });",
    /'name' must be snake_case of at most 64 characters, got My Policy$/,
  ],
  "has evidence without its size": [
    "export default () => ({ name: 'mine', score() {}, evidence: { kind: 'window' } });",
    /evidence of kind 'window' must have a number 'size', got undefined$/,
  ],
  "scores with a number": [
    "export default () => ({ name: 'mine', score: 5, evidence: { kind: 'none' } });",
    /'score' must be a function, got 5$/,
  ],
};

for (const [what, [code, message]] of Object.entries(BROKEN_FILES)) {
  Deno.test(`loadPolicy() says in a sentence that a file ${what}`, async () => {
    await using folder = await folderOf({ "plugin.ts": code });
    const error = await assertRejects(() => loadPolicy(`${folder.path}/plugin.ts`), PolicyError);
    assertMatch(error.message, message);
    assertMatch(error.message, /^[^\n]+$/);
    assert(error.message.includes(`${folder.path}/plugin.ts`));
  });
}

Deno.test("loadPolicy() says that there is no such file, or that it is a folder", async () => {
  await using folder = await folderOf({});
  await assertRejects(
    () => loadPolicy(`${folder.path}/gone.ts`),
    PolicyError,
    `Cannot load the policy ${folder.path}/gone.ts: there is no such file`,
  );
  await assertRejects(() => loadPolicy(`${folder.path}/`), PolicyError, "it is no file");
});

Deno.test("loadPolicy() passes on the options that a file refuses", async () => {
  const code = `export default ({ window }) => {
    throw Object.assign(new RangeError("window must be odd, got " + window), { name: "OptionError" });
  };`;
  await using folder = await folderOf({ "plugin.ts": code });
  await assertRejects(
    () => loadPolicy(`${folder.path}/plugin.ts(window=2)`),
    OptionError,
    "window must be odd, got 2",
  );
});

Deno.test("loadPolicy() refuses options in two places, and addresses that it cannot read", async () => {
  await assertRejects(
    () => loadPolicy("snapkv(window=8)", { options: { window: 9 } }),
    OptionError,
    "Cannot give options to 'snapkv(window=8)' twice",
  );
  for (const source of ["ftp://example.org/x.ts", "data:text/javascript,1", "npm:left-pad"]) {
    await assertRejects(() => loadPolicy(`"${source}"`), OptionError, "Cannot load a policy from");
  }
});

const EXPRESSIONS: Readonly<Record<string, readonly [source: string, options: object]>> = {
  "snapkv": ["snapkv", {}],
  " snapkv ( window = 8 ) ": ["snapkv", { window: 8 }],
  "a(b=true,c=null,d=-1.5,e=.5)": ["a", { b: true, c: null, d: -1.5, e: ".5" }],
  'a(b="x, (y)",c={"d":[1]})': ["a", { b: "x, (y)", c: { d: [1] } }],
  "./my plugins/x.ts(a=1)": ["./my plugins/x.ts", { a: 1 }],
  "https://example.org/x.ts?v=2#top": ["https://example.org/x.ts?v=2#top", {}],
  "https://example.org/x.ts?v=2(a=https://b.org/c)": [
    "https://example.org/x.ts?v=2",
    { a: "https://b.org/c" },
  ],
  'C:\\plugins\\x.ts(a="b")': ["C:\\plugins\\x.ts", { a: "b" }],
};

for (const [text, [source, options]] of Object.entries(EXPRESSIONS)) {
  Deno.test(`parseExpression() reads ${text}`, () => {
    const found = parseExpression(text);
    assertEquals([found.source, { ...found.options }], [source, options]);
  });
}

for (
  const text of ["", "()", "snapkv)", "snapkv((window=1)", '"', "./x.ts(a", "a b", "x.ts(a=1)b"]
) {
  Deno.test(`parseExpression() refuses ${JSON.stringify(text)}`, () => {
    const error = assertThrows(() => parseExpression(text), OptionError);
    assertMatch(error.message, /^Cannot read .*: .*write policies as in 'snapkv'/);
  });
}
