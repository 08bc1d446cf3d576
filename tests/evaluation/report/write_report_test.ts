import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { BenchmarkError } from "../../../evaluation/benchmarks/errors.ts";
import { readPromptHashes, readSummary } from "../../../evaluation/report/read_run.ts";
import { writeReport } from "../../../evaluation/report/write_report.ts";
import type { SampleRecord } from "../../../evaluation/run/record.ts";
import { BROWSER, openInBrowser } from "../../_browser.ts";
import { testFolder } from "../../commands/_run_cli.ts";
import { record, settings, summaryOf } from "../_run_summary.ts";

const HOSTILE = "<script>document.title='owned'</script>";

function writeRun(folder: string, records: readonly SampleRecord[]): void {
  const lines = records.map((one) => `${JSON.stringify(one)}\n`).join("");
  Deno.writeTextFileSync(`${folder}/settings.json`, JSON.stringify(settings()));
  Deno.writeTextFileSync(`${folder}/samples.jsonl`, lines);
  Deno.writeTextFileSync(`${folder}/summary.json`, JSON.stringify(summaryOf(records)));
}

const records = [0, 50, 100].map((depth) =>
  record(`niah-${depth}`, {
    full: 1,
    "snapkv 64": depth / 100,
    "snapkv 128": 1,
    [`${HOSTILE} 64`]: 0,
    "picky 64": "refused",
    "picky 128": 0.5,
  }, { facts: { depth, length: 1024 }, workers: depth === 0 ? 1 : 4 })
);

Deno.test("pitfall 23, benchmarks too easy: writeReport() shows the whole cache beside every score, in files that link to one another", async () => {
  using folder = testFolder();
  writeRun(folder.path, records);
  const files = await writeReport(`${folder.path}/`);
  const names = files.map((file) => file.slice(folder.path.length + 1));
  assertEquals(names, [
    "depth_64.svg",
    "depth_128.svg",
    "score.svg",
    "cost.svg",
    "report.md",
    "report.html",
  ]);
  const markdown = Deno.readTextFileSync(`${folder.path}/report.md`);
  assertMatch(markdown, /^# niah on tiny$/m);
  assertStringIncludes(markdown, "f".repeat(64));
  assertStringIncludes(
    markdown,
    "| samples measured at a time | 1 (of 1 samples), 4 (of 2 samples) |",
  );
  assertMatch(markdown, /^\| full \(the ceiling\) \| 100\.0 \(43\.9–100\.0\) \|/m);
  assertMatch(markdown, /^\| snapkv \| 50\.0 \(0\.0–100\.0\) \| 100\.0 /m);
  assertMatch(markdown, /^\| picky \| refused \| 50\.0 /m);
  assertStringIncludes(markdown, "picky at 64 in niah (3)");
  assertStringIncludes(
    markdown,
    "Mean over 3 samples, with 95 % bootstrap intervals. These are too few to tell policies apart.",
  );
  assertMatch(markdown, /^\| snapkv \| 64 \| 2\.0 \| 1\.0 \| 50 \| 10 \| 50\.0 \|$/m);
  for (const [, file] of markdown.matchAll(/\]\((.*?)\)/g)) {
    const svg = Deno.readTextFileSync(`${folder.path}/${file}`);
    assert(svg.startsWith("<svg"));
    assert(!svg.includes("<script"));
  }
  assert(!/(?<!\\)<script/.test(markdown), "Markdown shows labels as text");
});

Deno.test({
  name: "writeReport() makes a page that asks for nothing and runs no stranger's label",
  ignore: BROWSER === undefined,
  async fn() {
    using folder = testFolder();
    writeRun(folder.path, records);
    await writeReport(folder.path);
    await using open = await openInBrowser(`${folder.path}/report.html`);
    assertEquals(open.problems, []);
    assertEquals(open.requests.length, 1);
    assertEquals(await open.page.title(), "niah on tiny");
    const seen = await open.page.evaluate(() => ({
      figures: document.querySelectorAll("figure svg").length,
      scripts: document.querySelectorAll("script").length,
      overflow: document.documentElement.scrollWidth > innerWidth,
      text: document.body.innerText,
    }));
    assertEquals([seen.figures, seen.scripts, seen.overflow], [4, 0, false]);
    assertStringIncludes(seen.text, HOSTILE);
  },
});

Deno.test("writeReport() shows perplexities, and tasks one by one", async () => {
  using folder = testFolder();
  const samples = [
    record("p", { full: 1, "snapkv 64": 2 }, { task: "perplexity", facts: {} }),
    record("q", { full: 0.5, "snapkv 64": 0.25 }, { facts: {} }),
  ];
  writeRun(folder.path, samples);
  const summary = { ...summaryOf(samples), metrics: { perplexity: "perplexity" } };
  Deno.writeTextFileSync(`${folder.path}/summary.json`, JSON.stringify(summary));
  await writeReport(folder.path);
  const markdown = Deno.readTextFileSync(`${folder.path}/report.md`);
  assertMatch(markdown, /^\| full \(the ceiling\) \| 2\.72 \| 50\.0 \|$/m);
  assertMatch(markdown, /^\| snapkv \| 7\.39 \| 25\.0 \|$/m);
});

Deno.test("readSummary() takes a folder or a file, and names what is neither", async () => {
  using folder = testFolder();
  writeRun(folder.path, records);
  assertEquals(await readSummary(folder.path), await readSummary(`${folder.path}/summary.json`));
  await assertRejects(
    () => readSummary(`${folder.path}/settings.json`),
    BenchmarkError,
    'as the summary of a run of format 1: "settings" must be an object, got nothing',
  );
  await assertRejects(
    () => readSummary(`${folder.path}/samples.jsonl`),
    BenchmarkError,
    "it is not JSON",
  );
  await assertRejects(() => readSummary(`${folder.path}/none`), BenchmarkError, "no such file");
});

Deno.test("readSummary() says how to end a run that was stopped", async () => {
  using folder = testFolder();
  writeRun(folder.path, records);
  Deno.removeSync(`${folder.path}/summary.json`);
  await assertRejects(
    () => readSummary(folder.path),
    BenchmarkError,
    "the run has not come to its end, 3 samples are measured; give the command that began it",
  );
});

Deno.test("writeReport() names a damaged line of samples, and rows that are none", async () => {
  using folder = testFolder();
  writeRun(folder.path, records);
  const samples = `${folder.path}/samples.jsonl`;
  Deno.writeTextFileSync(samples, `{"id"\n`, { append: true });
  await assertRejects(
    () => writeReport(folder.path),
    BenchmarkError,
    "line 4, as a record of a sample: it is not JSON",
  );
  Deno.writeTextFileSync(samples, `{"id":"a"}\n`);
  await assertRejects(
    () => writeReport(folder.path),
    BenchmarkError,
    'line 1, as a record of a sample: "task" must be a text, got nothing',
  );
  const summary = { ...summaryOf(records), rows: [{ task: 1 }] };
  Deno.writeTextFileSync(`${folder.path}/summary.json`, JSON.stringify(summary));
  await assertRejects(
    () => writeReport(folder.path),
    BenchmarkError,
    '"rows[0].task" must be a text, got 1',
  );
});

Deno.test("readPromptHashes() finds the samples beside a summary, or nothing", async () => {
  using folder = testFolder();
  writeRun(folder.path, records);
  const hashes = await readPromptHashes(`${folder.path}/summary.json`);
  assertEquals(hashes, await readPromptHashes(folder.path));
  assertEquals(hashes?.get("niah-50"), "0".repeat(64));
  Deno.removeSync(`${folder.path}/samples.jsonl`);
  assertEquals(await readPromptHashes(folder.path), undefined);
});

Deno.test("writeReport() draws a large run in files that are small, and finds it by its summary", async () => {
  using folder = testFolder();
  const policies = Array.from({ length: 10 }, (_, at) => `policy_${at}`);
  const budgets = ["64", "128", "256", "512"];
  const tasks = [...Array.from({ length: 12 }, (_, at) => `task_${at}`), "niah"];
  const samples = tasks.flatMap((task) =>
    Array.from({ length: 33 }, (_, at) => {
      const scores = policies.flatMap((policy, number) =>
        budgets.map((budget): [string, number] => [
          `${policy} ${budget}`,
          (number * at + Number(budget)) % 7 / 7,
        ])
      );
      return record(`${task}-${at}`, { full: 1, ...Object.fromEntries(scores) }, {
        task,
        facts: { depth: 10 * (at % 11), length: 512 << (at % 3) },
      });
    })
  );
  writeRun(folder.path, samples);
  const files = await writeReport(`${folder.path}/summary.json`);
  const figures = files.filter((file) => file.endsWith(".svg"));
  assertEquals(figures.length, 4 + 1 + 3 + 1);
  for (const file of figures) {
    const svg = Deno.readTextFileSync(file);
    assert(svg.length < 100_000, `${file} has ${svg.length} characters`);
    assertEquals(svg.match(/NaN|Infinity|undefined/g), null);
    assertEquals(svg.match(/<svg[^>]*role="img" aria-label="[^"]{20,}"/g)?.length, 1);
  }
});

Deno.test("readSummary() reads the runs in docs/results, which an older kvjudge made", async () => {
  const results = new URL("../../../docs/results/", import.meta.url);
  for (const run of ["niah", "question", "ruler_1k"]) {
    const path = new URL(`${run}/summary.json`, results);
    const written: unknown = JSON.parse(await Deno.readTextFile(path));
    assertEquals(await readSummary(path.pathname), written);
  }
});
