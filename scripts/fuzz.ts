/**
 * Damages files that strangers hand us, opens them, and reports what does not end in a result or in
 * one sentence: `deno task fuzz --count N --seed S`. With `--target T --case N` it repeats one case,
 * and `--keep FILE` leaves its damaged file.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { fuzz } from "./fuzz/run.ts";
import { summarise } from "./fuzz/summary.ts";
import { TARGETS } from "./fuzz/targets.ts";

function numberOf(name: string, text: string, least: number): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new RangeError(`Cannot fuzz with --${name} ${text}: it must be at least ${least}`);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      count: { type: "string", default: "1000" },
      seed: { type: "string", default: "1" },
      target: { type: "string", multiple: true },
      case: { type: "string" },
      keep: { type: "string" },
    },
  });
  const known = TARGETS.map(({ name }) => name);
  const { target: targets = known, keep } = values;
  const unknown = targets.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new RangeError(`Cannot fuzz ${unknown}: it must be one of ${known.join(", ")}`);
  }
  const seed = numberOf("seed", values.seed, 0);
  const results = await fuzz({
    targets,
    seed,
    count: values.case === undefined ? numberOf("count", values.count, 1) : targets.length,
    ...(values.case === undefined ? {} : { from: numberOf("case", values.case, 0) }),
    ...(keep === undefined ? {} : { keep }),
    onCase: ({ target, index, outcome, message }) => {
      if (outcome === "failed") {
        console.log(`FAILED --seed ${seed} --target ${target} --case ${index}: ${message}\n`);
      } else if (values.case !== undefined) {
        console.log(`${target} ${index}: ${outcome}${message ? `: ${message}` : ""}`);
      }
    },
  });
  console.log(summarise(results));
  return results.some(({ outcome }) => outcome === "failed") ? 1 : 0;
}

if (import.meta.main) {
  try {
    Deno.exitCode = await main();
  } catch (error) {
    if (!(error instanceof RangeError) && !(error instanceof TypeError)) throw error;
    console.error(`error: ${error.message}`);
    Deno.exitCode = 2;
  }
}
