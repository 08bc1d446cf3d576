import { assert, assertEquals } from "@std/assert";
import { importArrows, ROOT, source } from "../_source_tree.ts";

/** What `deno compile` packs by the command in docs/install.md, relative to the root. */
async function packed() {
  const [, line = ""] = source("docs/install.md").match(/^(deno compile .*)$/m) ?? [];
  const words = line.split(" ");
  const included = words.filter((_, index) => words[index - 1] === "--include");
  const entry = words.at(-1) ?? "";
  const arrows = await importArrows([entry]);
  const modules = new Set([entry, ...arrows.flatMap(({ from, to }) => [from, to])]);
  const isIncluded = (path: string) =>
    included.some((one) => path === one || path.startsWith(`${one}/`));
  return { included, modules, has: (path: string) => modules.has(path) || isIncluded(path) };
}

/** `new URL("./file", import.meta.url)`, or `import.meta.resolve("./file")`. */
const BESIDE =
  /new URL\(\s*"(\.[^"]*)",\s*import\.meta\.url|import\.meta\.resolve\(\s*"(\.[^"]*)"/g;

/** Code without comments that are lines of their own. */
function codeOf(module: string): string {
  return source(module).split("\n").filter((line) => !/^\s*(\*|\/\/|\/\*)/.test(line)).join("\n");
}

Deno.test("deno compile, as the docs say it, packs every file that code reads beside itself", async () => {
  const { included, modules, has } = await packed();
  assert(modules.size > 500, `${modules.size} modules`);
  for (const path of included) await Deno.stat(new URL(path, ROOT));
  const own = [...modules].filter((module) => /^[a-z][^:]*\.ts$/.test(module));
  const read = own.flatMap((module) =>
    [...codeOf(module).matchAll(BESIDE)].map(([, path = "", resolved = ""]) =>
      new URL(path || resolved, new URL(module, ROOT)).href.slice(ROOT.href.length)
    )
  );
  assert(read.some((path) => path.endsWith(".safetensors")), read.join());
  assertEquals(read.filter((path) => !has(path)), []);
});

Deno.test("deno compile finds every module of ours: addresses stand in the code", async () => {
  const { modules } = await packed();
  const own = [...modules].filter((module) => /^[a-z][^:]*\.ts$/.test(module));
  const computed = own.filter((module) => /\bimport\(\s*[^\s"]/.test(codeOf(module)));
  // Those that import what a user names.
  assertEquals(computed.sort(), ["plugins/import_plugin.ts", "plugins/sandbox/inside.ts"]);
});
