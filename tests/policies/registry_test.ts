import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import * as everything from "../../policies/mod.ts";
import { accepts, type PolicyAbout } from "../../policies/_options.ts";
import { createPolicy, findPolicy } from "../../policies/create.ts";
import { registry } from "../../policies/registry.ts";
import { OptionError } from "../../policies/policy.ts";
import { generateLists, listPolicies, withEntries } from "../../scripts/generate_registry.ts";
import { ROOT, sourceFiles } from "../_source_tree.ts";
import settings from "../../deno.json" with { type: "json" };

const FOLDER = new URL("../../policies/", import.meta.url);

Deno.test("what lists the policies is what `deno task gen` writes", async () => {
  const lists = await generateLists();
  assertEquals(lists.size, 3);
  for (const [file, fresh] of lists) assertEquals(await Deno.readTextFile(file), fresh);
});

Deno.test("withEntries() lists policies in place of those that deno.json has", () => {
  const config = (...lines: readonly string[]) =>
    `{\n${lines.map((line) => `    ${line}\n`).join("")}}`;
  const entry = (name: string) => `"./policies/${name}": "./policies/${name}.ts"`;
  assertEquals(
    withEntries(config('".": "./mod.ts",', `${entry("old")},`, entry("older")), ["a", "b"]),
    config('".": "./mod.ts",', `${entry("a")},`, entry("b")),
  );
  assertEquals(
    withEntries(config(`${entry("old")},`, '"./x": "./x.ts"'), ["a"]),
    config(`${entry("a")},`, '"./x": "./x.ts"'),
  );
  assertThrows(() => withEntries("{}", ["a"]), Error, "deno.json has no entries");
});

Deno.test("registry has every policy, as do mod.ts and the exports of deno.json", async () => {
  const names = listPolicies();
  assert(names.includes("snapkv"));
  assertEquals(Object.keys(registry), names);
  const factories: readonly unknown[] = Object.values(everything);
  const exported: Readonly<Record<string, string>> = settings.exports;
  assertEquals(exported["./policies"], "./policies/mod.ts");
  for (const { name, load } of Object.values(registry)) {
    assert(factories.includes((await load()).default), `policies/mod.ts does not export ${name}`);
    assertEquals(exported[`./policies/${name}`], `./policies/${name}.ts`);
  }
});

Deno.test("registry agrees with the policies that it makes", async () => {
  for (const { name, paper, evidence, options, load } of Object.values(registry)) {
    const module = await load();
    const policy = await module.default();
    assertEquals(module.about.name, name);
    assertEquals([policy.name, policy.paper, policy.evidence.kind], [name, paper, evidence]);
    for (const option of options) {
      if (option.default === undefined) continue;
      assertEquals(policy.options?.[option.name], option.default, `${name}.${option.name}`);
    }
  }
});

Deno.test("every option accepts its own default", async () => {
  for (const { name, load } of Object.values(registry)) {
    const { about }: { readonly about: Partial<PolicyAbout> } = await load();
    for (const [option, spec] of Object.entries(about.options ?? {})) {
      if ("default" in spec) assert(accepts(spec, spec.default), `${name}.${option}`);
    }
  }
});

for (const name of listPolicies()) {
  Deno.test(`policies/${name}.ts has a paper or is a baseline, an example and a test`, async () => {
    const source = await Deno.readTextFile(new URL(`${name}.ts`, FOLDER));
    const paper = /https:\/\/(arxiv\.org\/abs\/\d{4}\.\d{5}|openreview\.net\/forum\?id=\w+)/;
    assertMatch(source, new RegExp(`${paper.source}|\\bbaseline\\b`));
    assertMatch(source, /@example\n \* ```ts\n/);
    const test = await Deno.readTextFile(new URL(`${name}_test.ts`, import.meta.url));
    assert(test.includes(`../../policies/${name}.ts`));
  });
}

Deno.test("policies import nothing but policies", async () => {
  const files = sourceFiles("policies/");
  assert(files.length > 30);
  for (const file of files) {
    const source = await Deno.readTextFile(new URL(file, ROOT));
    for (const [, path = ""] of source.matchAll(/^(?:import|export|\}) .*?from "(.+?)";$/gm)) {
      assertMatch(path, /^\.{1,2}\//, `${file} imports ${path}`);
      assert(
        new URL(path, new URL(file, ROOT)).href.startsWith(FOLDER.href),
        `${file} imports ${path}`,
      );
    }
  }
});

Deno.test("createPolicy() takes names in snake_case and kebab-case", async () => {
  for (const name of ["judge_q", "judge-q", "Judge-Q"]) {
    assertEquals((await createPolicy(name)).name, "judge_q");
  }
  assertEquals((await createPolicy("random", { seed: 3 })).options, { seed: 3 });
});

Deno.test("createPolicy() suggests a name for a misspelt one", async () => {
  await assertRejects(
    () => createPolicy("stream_llm"),
    OptionError,
    "Cannot find policy 'stream_llm'; did you mean 'streaming_llm'? There are ada_kv, chunk_kv, compose,",
  );
  await assertRejects(
    () => createPolicy("constructor"),
    OptionError,
    "Cannot find policy 'constructor'. There are ada_kv, chunk_kv, compose,",
  );
  assertThrows(() => findPolicy(""), OptionError, "Cannot find policy ''.");
});

Deno.test("createPolicy() suggests an option for a misspelt one", async () => {
  await assertRejects(
    () => createPolicy("snapkv", { windw: 8 }),
    OptionError,
    "Cannot make policy 'snapkv': it has no option 'windw'; did you mean 'window'? " +
      "It takes window, kernel, pooling",
  );
  await assertRejects(
    () => createPolicy("knorm", { window: 8 }),
    OptionError,
    "Cannot make policy 'knorm': it has no option 'window'. It takes no options",
  );
});
