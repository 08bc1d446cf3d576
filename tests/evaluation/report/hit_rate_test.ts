import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { HitRate } from "../../../evaluation/hit_rate.ts";
import { writeHitRateReport } from "../../../evaluation/report/hit_rate.ts";
import { testFolder } from "../../commands/_run_cli.ts";

const HOSTILE = "<script>alert(1)</script>";

function result(policy: string, budget: string, rate: number): HitRate {
  const found = { mean: rate, interval: [rate, rate], n: 2 } as const;
  const byHead = Array.from({ length: 3 }, (_, layer) => [rate, layer / 3]);
  return { policy, budget, hitRate: found, attentionMass: found, byHead, leftOut: 0 };
}

Deno.test("writeHitRateReport() draws every layer and head, and runs no stranger's label", async () => {
  using folder = testFolder();
  const results = ["snapkv", HOSTILE]
    .flatMap((policy) => ["16", "32"].map((budget) => result(policy, budget, 0.25)));
  const out = `${folder.path}/made/`;
  const files = await writeHitRateReport(out, {
    title: `Hit rate on ${HOSTILE}`,
    figures: { model: "tiny", settings: { seed: 3 }, policies: [{ policy: HOSTILE }], results },
    report: { layers: [5, 11, 17], rows: [], skipped: [], results, localShares: [] },
  });
  assertEquals(files.map((file) => file.slice(out.length)), [
    "figures.json",
    "report.md",
    "report.html",
  ]);
  const heads = Deno.readTextFileSync(`${out}/heads.svg`);
  const squares = [...heads.matchAll(/<path d="(M[^"]*)" fill="#[0-9a-f]{6}"\/>/g)];
  assertEquals(squares.length, 2 * 2 * 3 * 2);
  assertEquals(new Set(squares.map(([, place]) => place)).size, 3 * 2);
  for (const layer of ["5", "11", "17"]) assertMatch(heads, new RegExp(`>${layer}</text>`));
  const markdown = Deno.readTextFileSync(`${out}/report.md`);
  assertMatch(markdown, /^\| snapkv \| 25\.0 \(25\.0–25\.0\) \| 25\.0 /m);
  assertMatch(markdown, /^\| seed \| 3 \|$/m);
  assertStringIncludes(markdown, "These are too few to tell policies apart.");
  for (const [, file] of markdown.matchAll(/\]\((.*?)\)/g)) {
    assert(Deno.readTextFileSync(`${out}/${file}`).startsWith("<svg"));
  }
  for (const file of ["report.html", "heads.svg", "rates.svg"]) {
    assert(!Deno.readTextFileSync(`${out}/${file}`).includes("<script"), file);
  }
  assert(!/(?<!\\)<script/.test(markdown));
});
