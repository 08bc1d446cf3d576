import { assert, assertEquals } from "@std/assert";
import { type Arrow, importArrows, source, sourceFiles } from "./_source_tree.ts";

/** Folders of the library, and what each may import besides itself. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  kernels: [],
  policies: [],
  runtime: ["kernels/", "policies/policy.ts", "policies/contract/"],
  plugins: ["runtime/", "policies/"],
  training: ["evaluation/", "plugins/", "runtime/", "kernels/", "policies/"],
  evaluation: ["plugins/", "runtime/", "kernels/", "policies/"],
  queue: ["training/", "evaluation/", "plugins/", "runtime/", "policies/"],
  server: ["plugins/", "queue/store/", "runtime/", "kernels/", "policies/"],
  commands: [
    "kernels/",
    "runtime/",
    "policies/",
    "plugins/",
    "training/",
    "evaluation/",
    "queue/",
    "server/",
    "mod.ts",
  ],
  "mod.ts": ["plugins/", "runtime/", "policies/"],
  "cli.ts": ["commands/", "runtime/errors.ts", "policies/policy.ts", "deno.json"],
};

/** The one import-mapped package, and who may use it. */
const MAPPED: Readonly<Record<string, readonly string[]>> = {
  "@cliffy/command": ["commands", "cli.ts"],
};

/** Policies whose names are ordinary words, which code that knows no policy may well use. */
const ORDINARY_WORDS = new Set([
  "merge",
  "per_layer",
  "pyramid",
  "rerotate",
  "full",
  "oracle",
  "random",
]);

const library = sourceFiles().filter((file) => layerOf(file) in ALLOWED);

function layerOf(file: string): string {
  return file.split("/", 1)[0] ?? "";
}

/** What is wrong with an import, if anything. */
function complaint({ from, to, specifier }: Arrow): string | undefined {
  const layer = layerOf(from);
  const allowed = ALLOWED[layer];
  if (!allowed) return undefined;
  const named = `${from} imports ${specifier}`;
  const bare = !/^(\.{1,2}\/|node:|npm:|data:)/.test(specifier);
  if (bare && !MAPPED[specifier]?.includes(layer)) return `${named}: not relative, node: or npm:`;
  if (specifier.startsWith("npm:") && !/^npm:(@[^/]+\/)?[^/@]+@\d/.test(specifier)) {
    return `${named}: no version`;
  }
  if (!specifier.startsWith(".")) return undefined;
  const own = to === layer || to.startsWith(`${layer}/`);
  const permitted = allowed.some((place) =>
    place.endsWith("/") ? to.startsWith(place) : to === place
  );
  return own || permitted ? undefined : `${named}: this arrow points the wrong way`;
}

/** Matches a policy's name however it is written: `judge_q`, `judgeQ`, `Judge Q`, `JUDGE-Q`. */
function policyName(name: string): RegExp {
  // "per KV head" is not R-KV.
  const start = name[1] === "_" ? "\\b" : "";
  return new RegExp(start + name.replaceAll("_", "[-_ ]?"), "i");
}

Deno.test("complaint() refuses arrows that point up, bare names and missing versions", () => {
  const arrow = (from: string, specifier: string, to = specifier) =>
    complaint({ from, to, specifier });
  assert(arrow("kernels/a.ts", "../runtime/b.ts", "runtime/b.ts"));
  assert(arrow("runtime/a.ts", "../policies/b.ts", "policies/b.ts"));
  assert(arrow("policies/a.ts", "../runtime/errors.ts", "runtime/errors.ts"));
  assert(arrow("runtime/a.ts", "@std/assert"));
  assert(arrow("runtime/a.ts", "jsr:@std/path@1"));
  assert(arrow("runtime/a.ts", "npm:hono"));
  assert(arrow("runtime/a.ts", "npm:@huggingface/hub"));
  assertEquals(arrow("runtime/a.ts", "npm:@huggingface/hub@2.1.0"), undefined);
  assertEquals(arrow("runtime/a.ts", "./b/c.ts", "runtime/b/c.ts"), undefined);
  assertEquals(arrow("runtime/a.ts", "../policies/policy.ts", "policies/policy.ts"), undefined);
  assertEquals(arrow("commands/a.ts", "@cliffy/command"), undefined);
});

Deno.test("every import points down: commands, runtime, kernels; policies import policies", async () => {
  const arrows = await importArrows(library);
  assert(arrows.length > library.length / 2, "the imports were not read");
  assertEquals(arrows.map(complaint).filter((text) => text !== undefined), []);
});

/** Groups of files that import one another, directly or through others, type imports included. */
function circles(arrows: readonly Arrow[]): readonly (readonly string[])[] {
  const imported = new Map<string, string[]>();
  for (const { from, to } of arrows) imported.set(from, [...imported.get(from) ?? [], to]);
  const reached = (start: string): ReadonlySet<string> => {
    const found = new Set<string>();
    const rest = [start];
    for (let file = rest.pop(); file !== undefined; file = rest.pop()) {
      for (const next of imported.get(file) ?? []) {
        if (!found.has(next)) rest.push(next);
        found.add(next);
      }
    }
    return found;
  };
  const from = new Map([...imported.keys()].map((file) => [file, reached(file)]));
  const groups = [...imported.keys()].filter((file) => from.get(file)?.has(file)).map((file) =>
    [...from.get(file) ?? []].filter((other) => from.get(other)?.has(file)).sort()
  );
  return [...new Map(groups.map((group) => [group.join(), group])).values()];
}

Deno.test("circles() finds files that import one another, near and far", () => {
  const arrow = (from: string, to: string): Arrow => ({ from, to, specifier: to });
  assertEquals(circles([arrow("a", "b"), arrow("a", "c"), arrow("b", "c")]), []);
  const round = [arrow("a", "b"), arrow("b", "c"), arrow("c", "a"), arrow("d", "a")];
  assertEquals(circles(round), [["a", "b", "c"]]);
  assertEquals(circles([arrow("a", "a")]), [["a"]]);
});

Deno.test("no files import one another in a circle", async () => {
  assertEquals(circles(await importArrows(library)), []);
});

Deno.test("runtime/ and kernels/ name no policy", () => {
  const names = sourceFiles("policies/")
    .map((file) => file.slice("policies/".length, -".ts".length))
    .filter((name) => !/^_|\//.test(name) && !ORDINARY_WORDS.has(name))
    .filter((name) => !["create", "mod", "policy", "registry"].includes(name));
  assert(names.includes("snapkv"), "the policies were not found");
  assert(policyName("judge_q").test("const judgeQPolicy = 1"));
  assert(policyName("r_kv").test("the R-KV of") && !policyName("r_kv").test("per KV head"));
  const offences = library
    .filter((file) => ["runtime", "kernels"].includes(layerOf(file)))
    .flatMap((file) =>
      names.filter((name) => policyName(name).test(source(file)))
        .map((name) => `${file} names ${name}`)
    );
  assertEquals(offences, []);
});

Deno.test("mod.ts is a front door: at most 70 names, each written there", () => {
  const code = source("mod.ts");
  assert(!/export \*/.test(code), "mod.ts must name what it exports");
  const names = [...code.matchAll(/^export (?:type )?\{([^}]*)\}/gm)]
    .flatMap(([, list = ""]) => list.split(",").map((name) => name.trim()))
    .filter((name) => name !== "");
  assert(names.length > 50 && names.length <= 70, `mod.ts exports ${names.length} names`);
});

Deno.test("no source file has more than 400 lines", () => {
  const long = sourceFiles()
    // Generated: a list that grows with the policies.
    .filter((file) => file !== "policies/registry.ts")
    .filter((file) => source(file).trimEnd().split("\n").length > 400);
  assertEquals(long, []);
});

Deno.test("library code waives no type rule, prints nothing and draws no hidden randomness", () => {
  const banned = [
    /deno-lint-ignore.*\b(no-explicit-any|ban-ts-comment|no-non-null-assertion)\b/,
    /@ts-(ignore|expect-error|nocheck)/,
    /\bconsole\.\w+\(/,
    /\bMath\.random\b/,
  ];
  const offences = library.flatMap((file) => {
    const code = source(file).replace(/^\s*\*.*$/gm, "");
    return banned.filter((pattern) => pattern.test(code)).map((pattern) => `${file}: ${pattern}`);
  });
  assertEquals(offences, []);
});
