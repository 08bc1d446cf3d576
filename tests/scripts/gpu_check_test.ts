import { assert, assertEquals } from "@std/assert";
import { findingIn, readable } from "../../scripts/gpu_check/finding.ts";
import { openResults } from "../../scripts/gpu_check/results.ts";
import { runSections } from "../../scripts/gpu_check/runner.ts";
import { longEnoughToStart } from "../_time_limit.ts";

/** What sections of these tests do, by name. */
const SECTIONS: Readonly<Record<string, string>> = {
  good: "console.log('noise'); say('one', { number: 1.5 }); say('two', {}, true);",
  broken: "say('before', {}); console.error('out of luck'); Deno.exit(3);",
  crashed: "say('before', {}); Deno.kill(Deno.pid, 'SIGKILL');",
  hanging: "say('before', {}); setInterval(() => {}, 1000);",
  parent: "say('pid', { pid: new Deno.Command('sleep', { args: ['60'] }).spawn().pid });" +
    "setInterval(() => {}, 1000);",
  wrong: "say('sum', {}, false);",
};

const SAY = `const say = (what, values, pass) =>
  console.log("finding " + JSON.stringify({ what, values, pass }));`;

async function check(
  names: readonly string[],
  { seconds = 60, each = 20, least = 0 }: {
    readonly seconds?: number;
    readonly each?: number;
    readonly least?: number;
  } = {},
) {
  const folder = await Deno.makeTempDir();
  const printed: string[] = [];
  try {
    using results = openResults(`${folder}/out`, "both", (line) => printed.push(line));
    await runSections(names.map((name) => ({ name, seconds: each, least })), {
      seconds,
      results,
      command: (name) => ({
        program: Deno.execPath(),
        args: ["eval", "--quiet", `${SAY}\n${SECTIONS[name]}`],
      }),
    });
    const lines = (await Deno.readTextFile(`${folder}/out/findings.jsonl`)).trim().split("\n");
    return {
      findings: lines.map((line) => JSON.parse(line)),
      failed: results.failed,
      printed,
      log: await Deno.readTextFile(`${folder}/out/log.txt`),
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("sections tell what they find, in files and on the screen, and what else they print is logged", async () => {
  const { findings, printed, log, failed } = await check(["good"]);
  assertEquals(findings.map(({ section, what }) => `${section}: ${what}`), [
    "good: one",
    "good: two",
    "good: done",
  ]);
  assertEquals(findings[0].values, { number: 1.5 });
  assertEquals(printed.length, 6);
  assert(printed.some((line) => line.endsWith("good: one: number 1.5")));
  assert(printed.some((line) => line.endsWith("PASS")));
  assert(log.includes("good: noise"));
  assertEquals(failed, 0);
});

Deno.test("a section that breaks or crashes costs no other section, nor what it found before", async () => {
  const { findings, failed } = await check(["broken", "crashed", "wrong", "good"]);
  const whats = findings.map(({ section, what }) => `${section}: ${what}`);
  assertEquals(whats, [
    "broken: before",
    "broken: broke",
    "crashed: before",
    "crashed: broke",
    "wrong: sum",
    "wrong: done",
    "good: one",
    "good: two",
    "good: done",
  ]);
  assertEquals(findings[1].values.code, 3);
  assert(findings[1].values.said.includes("out of luck"));
  assertEquals(findings[3].values.signal, "SIGKILL");
  assertEquals(failed, 3);
});

Deno.test("a section that hangs is ended in time, and sections are skipped when too little is left", async () => {
  const each = 2 * await longEnoughToStart() / 1000;
  const { findings } = await check(["hanging", "good", "good"], { each });
  assertEquals(findings[0].what, "before");
  assertEquals(findings[1].what, "ended: its time was over");
  assertEquals(findings.at(-1).what, "done");
  const short = await check(["good"], { seconds: 1, least: 5 });
  assertEquals(short.findings.map(({ what }) => what), ["skipped: too little time is left"]);
});

Deno.test("what a section started is ended with it", async () => {
  const each = 2 * await longEnoughToStart() / 1000;
  const { findings } = await check(["parent"], { each });
  const { pid } = findings[0].values;
  const state = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  // It is gone, or dead and not buried yet.
  assert(state === "" || state.includes(") Z "), state);
});

Deno.test("findingIn() and readable() take findings as sections print them", () => {
  assertEquals(findingIn("nothing"), undefined);
  assertEquals(findingIn("finding {damaged"), undefined);
  const finding = {
    section: "speed",
    at: 12.34,
    what: "512 tokens",
    values: { a: 0.00001, b: 1e6 },
  };
  assertEquals(readable(finding), "  12.3 s  speed: 512 tokens: a 1.00e-5, b 1000000");
  assert(readable({ ...finding, pass: false }).endsWith("  FAIL"));
});
