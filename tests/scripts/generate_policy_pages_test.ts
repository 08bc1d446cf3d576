import { assertEquals, assertMatch } from "@std/assert";
import type { PolicyEntry } from "../../policies/_entry.ts";
import { registry } from "../../policies/registry.ts";
import { policyPage, policyPages } from "../../scripts/generate_policy_pages.ts";

Deno.test("policyPage() shows what a policy does, costs and takes", () => {
  const entry: PolicyEntry = {
    ...registry.knorm,
    name: "given",
    summary: "Keeps some.",
    options: [{ name: "size", type: '"a" or "b"', default: "a", about: "how large" }],
  };
  const page = policyPage(entry, {
    doc: "It keeps some.\n",
    tags: [
      { kind: "throws", doc: "If it cannot.\n" },
      { kind: "example", doc: '```ts\nimport { given } from "./given.ts";\n```' },
    ],
  });
  assertMatch(page, /^<!-- Written by .* policies\/given\.ts\. -->\n\n# `given`\n\nKeeps some\.\n/);
  assertMatch(page, /\| `size` \| "a" or "b" \| `"a"` \| how large \|/);
  assertMatch(page, /import \{ given \} from "\.\.\/\.\.\/policies\/given\.ts";/);
  assertMatch(policyPage({ ...entry, options: [] }, {}), /## Options\n\nIt takes none\.\n/);
});

Deno.test("docs/policies holds one page for each policy, and each is fresh", async () => {
  const pages = await policyPages();
  assertEquals([...pages.keys()], Object.keys(registry).map((name) => `${name}.md`));
  for (const [file, page] of pages) {
    const path = new URL(`../../docs/policies/${file}`, import.meta.url);
    assertEquals(await Deno.readTextFile(path), page, `run deno task gen-pages: ${file}`);
  }
});
