import { assert, assertEquals, assertRejects } from "@std/assert";
import { loadPolicy } from "../../plugins/load_policy.ts";
import { PolicyError } from "../../runtime/errors.ts";
import { serveModules } from "./_serve.ts";

const TYPED = `import { NAME } from "./name.ts";
  interface Options { readonly a?: number }
  export default (_: Options = {}) => ({
    name: NAME,
    evidence: { kind: "none" },
    score: (layer: { kvHeads: number; length: number }) => new Float32Array(layer.kvHeads * layer.length),
  });`;
const name = (text: string) => `export const NAME: string = "${text}";`;

/** What Python's `http.server` calls a .ts file. */
const LINGUIST = "text/vnd.trolltech.linguist";

for (const trust of [false, true]) {
  const how = trust ? "in this process" : "in a sandbox";

  Deno.test(`loadPolicy() names a type that is not TypeScript's, and the way out, ${how}`, async () => {
    for (const [path, wrong] of [["typed.ts", "typed.ts"], ["typed.ts", "name.ts"]] as const) {
      await using server = serveModules(
        { "typed.ts": TYPED, "name.ts": name("typed") },
        { [wrong]: LINGUIST },
      );
      const error = await assertRejects(() => loadPolicy(server.url(path), { trust }), PolicyError);
      assertEquals(
        error.message,
        `Cannot load the policy ${server.url(path)}: its host serves ${server.url(wrong)} as ` +
          `'${LINGUIST}', which is no type of scripts; have it served as ` +
          "'application/typescript', or download it and give its path",
      );
    }
  });

  Deno.test(`loadPolicy() leaves a mistake in a script its own words, ${how}`, async () => {
    for (const type of ["application/typescript", "text/plain; charset=utf-8"]) {
      await using server = serveModules(
        { "broken.ts": "export default () => {{;" },
        { "broken.ts": type },
      );
      const error = await assertRejects(
        () => loadPolicy(server.url("broken.ts"), { trust }),
        PolicyError,
      );
      assert(/SyntaxError: .*broken\.ts:1:\d+/.test(error.message), error.message);
    }
  });
}

Deno.test("loadPolicy() runs a policy that changed at its address with reload, and not before", async () => {
  const files = { "typed.ts": TYPED, "name.ts": name("first") };
  await using server = serveModules(files);
  const loaded = async (options: { reload?: boolean; trust?: boolean }) => {
    await using one = await loadPolicy(server.url("typed.ts"), options);
    return one.policy.name;
  };
  assertEquals(await loaded({}), "first");
  files["name.ts"] = name("second");
  assertEquals(await loaded({}), "first");
  assertEquals(await loaded({ reload: true }), "second");
  assertEquals(await loaded({}), "second");
  files["name.ts"] = name("third");
  assertEquals(await loaded({ reload: true, trust: true }), "third");
});
