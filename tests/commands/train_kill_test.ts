import { assert, assertEquals } from "@std/assert";
import { existsSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { readLog } from "../../training/log.ts";
import { type TrainCliBench, trainCliBench } from "./_train_bench.ts";

/** Runs until there is `enough`, a little longer, and kills; says whether the run was at work. */
async function killed(
  bench: TrainCliBench,
  args: readonly string[],
  enough: () => boolean,
  delay: number,
): Promise<boolean> {
  const child = bench.start("killed.safetensors", ...args);
  let ended = false;
  const output = child.output().then((output) => {
    ended = true;
    return output;
  });
  while (!ended && !enough()) await wait(2);
  await wait(delay);
  if (!ended) child.kill("SIGKILL");
  const { signal, stderr } = await output;
  if (signal !== "SIGKILL") console.error(new TextDecoder().decode(stderr));
  return signal === "SIGKILL";
}

/** The log without what no two runs have in common. */
async function courseOf(path: string): Promise<unknown[]> {
  return (await readLog(path)).map((entry) => ({ ...entry, examplesPerSecond: 0 }));
}

const RUNS = {
  "judge-q": [],
  "lookahead-kv": ["lookahead-kv", "--rank", "2", "--projections", "q,v"],
};

for (const [name, flags] of Object.entries(RUNS)) {
  Deno.test(`kvjudge train ${name} killed at any moment and resumed makes the same tokens`, async () => {
    using bench = await trainCliBench();
    const { folder } = bench;
    const args = [...flags, "--epochs", "60", "--save-every", "4", "--validate-every", "15"];
    const whole = await bench.run("whole.safetensors", ...args);
    assertEquals(whole.code, 0, whole.err);

    const work = `${folder}/killed.work`;
    const targets = () =>
      existsSync(`${work}/targets`)
        ? [...Deno.readDirSync(`${work}/targets`)]
          .filter(({ name }) => name.endsWith(".target.safetensors")).length
        : 0;
    const lines = () => {
      const log = `${folder}/killed.jsonl`;
      return existsSync(log) ? Deno.readTextFileSync(log).split("\n").length : 0;
    };
    const moments = [
      { enough: () => existsSync(`${work}/state.safetensors`), delay: 0 },
      { enough: () => targets() >= 2, delay: 0 },
      { enough: () => targets() >= 5, delay: 3 },
      ...[2, 11, 30, 60, 85].map((count, index) => ({
        enough: () => lines() >= count,
        delay: 7 * index,
      })),
    ];
    for (const [index, { enough, delay }] of moments.entries()) {
      const resume = index > 0 ? ["--resume"] : [];
      const wasAtWork = await killed(bench, [...args, ...resume], enough, delay);
      assert(wasAtWork, `run ${index} ended before it was killed`);
      assert(!existsSync(`${folder}/killed.safetensors`));
    }
    const last = await bench.run("killed.safetensors", ...args, "--resume");
    assertEquals(last.code, 0, last.err);
    const tokensOf = async (name: string) => {
      const bytes = await Deno.readFile(`${folder}/${name}.safetensors`);
      // The card names the file in the command that made it; the numbers stand behind it.
      return bytes.subarray(8 + Number(new DataView(bytes.buffer).getBigUint64(0, true)));
    };
    assertEquals(await tokensOf("killed"), await tokensOf("whole"));
    assertEquals(
      await courseOf(`${folder}/killed.jsonl`),
      await courseOf(`${folder}/whole.jsonl`),
    );
    assert(existsSync(`${folder}/killed.svg`));
  });
}
