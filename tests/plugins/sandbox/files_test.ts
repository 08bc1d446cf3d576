import { assert, assertEquals, assertRejects } from "@std/assert";
import { loadPolicy } from "../../../plugins/load_policy.ts";
import { PolicyError } from "../../../runtime/errors.ts";
import { noiseLayer } from "../../_fake_layer.ts";
import { testFolder } from "../../commands/_run_cli.ts";

const LAYER = noiseLayer({ heads: 4, kvHeads: 2, headDim: 8, length: 12, seed: 3 });

/** A plugin whose `score` tries something first and says how that went by its scores. */
const trying = (body: string) =>
  `import { positions } from "./helper.ts";
  export default () => ({
    name: "own",
    evidence: { kind: "none" },
    async score(layer: { positions: Int32Array }): Promise<Float32Array> {
      try { ${body}; return new Float32Array(24); } catch (error) {
        if (!(error instanceof Deno.errors.NotCapable)) throw error;
      }
      return positions(layer);
    },
  });`;
const HELPER = `export const positions = (layer: { positions: Int32Array }) =>
  Float32Array.from({ length: 24 }, (_, at) => layer.positions[at % 12] ?? 0);`;

Deno.test("a file in a sandbox has its modules and can reach nothing else", async () => {
  using folder = testFolder();
  const inner = `${folder.path}/with blank`;
  await Deno.mkdir(inner);
  await Deno.writeTextFile(`${inner}/helper.ts`, HELPER);
  await Deno.writeTextFile(`${inner}/secret.txt`, "x");
  const tries = {
    itself: "",
    secret: `Deno.readTextFileSync(${JSON.stringify(`${inner}/secret.txt`)})`,
    write: `Deno.writeTextFileSync(${JSON.stringify(`${inner}/helper.ts`)}, "")`,
    variable: `Deno.env.get("HOME")`,
    program: `new Deno.Command("ls").outputSync()`,
    network: `await Deno.connect({ port: 80 })`,
  };
  for (const [name, body] of Object.entries(tries)) {
    await Deno.writeTextFile(`${inner}/${name}.ts`, trying(body));
    const source = JSON.stringify(`${inner}/${name}.ts`);
    await using loaded = await loadPolicy(source, { sandbox: true });
    const { policy } = loaded;
    assert("score" in policy);
    const scores = await policy.score(LAYER);
    assertEquals(scores.at(-1) === 0, name === "itself", `${name} got through`);
  }
});

Deno.test("a file that is not there, or does not end, is told in a sentence", async () => {
  using folder = testFolder();
  const missing = loadPolicy(`${folder.path}/missing.ts`, { sandbox: true });
  await assertRejects(() => missing, PolicyError, "missing.ts");
  await Deno.writeTextFile(
    `${folder.path}/loop.ts`,
    'export default () => ({ name: "loop", evidence: { kind: "none" }, score() { for (;;); } });',
  );
  const comma = `${folder.path}/a,b.ts`;
  await Deno.copyFile(`${folder.path}/loop.ts`, comma);
  const torn = loadPolicy(JSON.stringify(comma), { sandbox: true });
  await assertRejects(() => torn, PolicyError, "has a comma in its path; rename it");
  await using loaded = await loadPolicy(`${folder.path}/loop.ts`, {
    sandbox: true,
    timeLimit: 1500,
  });
  const { policy } = loaded;
  assert("score" in policy);
  await assertRejects(async () => await policy.score(LAYER), PolicyError, "within 1.5 seconds");
});
