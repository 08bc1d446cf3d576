import { assert, assertEquals } from "@std/assert";
import config from "../deno.json" with { type: "json" };
import { ROOT } from "./_source_tree.ts";

interface Declaration {
  /** `reference` where it is declared in another module, which counts there. */
  readonly kind: string;
  readonly location: { readonly filename: string };
  readonly jsDoc?: { readonly doc?: string; readonly tags?: readonly { readonly kind: string }[] };
}

interface DocumentedModule {
  readonly symbols: readonly {
    readonly name: string;
    readonly declarations: readonly Declaration[];
  }[];
}

/** Everything that the entry points of deno.json export, each once, where it is declared. */
async function publicSymbols() {
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", ...Object.values(config.exports)],
    cwd: ROOT,
  }).output();
  assert(success);
  const { nodes }: { nodes: Record<string, DocumentedModule> } = JSON.parse(
    new TextDecoder().decode(stdout),
  );
  const declared = Object.values(nodes).flatMap(({ symbols }) =>
    symbols.flatMap(({ name, declarations }) =>
      declarations.map((declaration) => ({
        ...declaration,
        name,
        file: declaration.location.filename.replace(ROOT.href, ""),
      }))
    )
  );
  const own = declared.filter(({ kind }) => kind !== "reference");
  // Of a function with several signatures the first one has the docs.
  const first = own.toReversed().map((symbol) =>
    [`${symbol.file} ${symbol.name}`, symbol] as const
  );
  return [...new Map(first).values()];
}

/**
 * What needs no example of its own: types, which the examples of the functions that take or give them
 * show; errors, which are thrown and caught, never made; and the `about` of a policy, which is data.
 */
function isExempt({ kind, name }: { readonly kind: string; readonly name: string }): boolean {
  return ["interface", "typeAlias"].includes(kind) ||
    (kind === "class" && name.endsWith("Error")) ||
    name === "about";
}

Deno.test("every public symbol is documented, and every function and value has an example", async () => {
  const symbols = await publicSymbols();
  const shown = symbols.filter((symbol) => !isExempt(symbol));
  assert(shown.length > 40, `only ${shown.length} symbols were read`);
  assert(shown.some(({ name }) => name === "loadModel"));
  const named = ({ file, name }: { readonly file: string; readonly name: string }) =>
    `${file}: ${name}`;
  const examples = ({ jsDoc }: Declaration) =>
    jsDoc?.tags?.filter(({ kind }) => kind === "example");
  assertEquals(symbols.filter(({ jsDoc }) => !jsDoc?.doc).map(named), []);
  assertEquals(shown.filter((symbol) => !examples(symbol)?.length).map(named), []);
});
