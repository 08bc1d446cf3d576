import { assertEquals, assertRejects } from "@std/assert";
import { loadPolicy } from "../../../plugins/load_policy.ts";

async function folderOf(files: Readonly<Record<string, string>>) {
  const folder = await Deno.makeTempDir();
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${folder}/${name}`, text);
  }
  return { folder, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}

Deno.test("a file in a sandbox imports the files beside it", async () => {
  await using made = await folderOf({
    "a b.ts": `import { name } from "./name.ts";
      export default () => ({ name, evidence: { kind: "none" }, score: () => new Float32Array(0) });`,
    "name.ts": `export const name = "beside";`,
  });
  await using loaded = await loadPolicy(new URL(`file://${made.folder}/a%20b.ts`), {
    sandbox: true,
  });
  assertEquals(loaded.policy.name, "beside");
});

Deno.test("a file in a sandbox reads no other file", async () => {
  await using made = await folderOf({
    "policy.ts": `const secret = Deno.readTextFileSync(new URL("./secret.txt", import.meta.url));
      export default () => ({ name: secret, evidence: { kind: "none" }, score: () => [] });`,
    "secret.txt": "secret",
  });
  await assertRejects(
    () => loadPolicy(`${made.folder}/policy.ts`, { sandbox: true }),
    Error,
    "Requires read access",
  );
});
