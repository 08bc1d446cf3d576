/**
 * Checks a machine with a GPU within a bounded time: what it can do, whether answers are right there, how
 * fast it is and why. Findings are written as they are made: `gpu_check.ts --seconds 280 --out FOLDER`.
 *
 * @module
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openResults, type Print } from "./gpu_check/results.ts";
import { runSections } from "./gpu_check/runner.ts";
import type { CheckOptions } from "./gpu_check/section.ts";
import { SECTIONS } from "./gpu_check/sections.ts";

function refuse(reason: string): never {
  console.error(`error: ${reason}`);
  Deno.exit(2);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      device: { type: "string", default: "webgpu" },
      model: { type: "string", default: "1.3b" },
      only: { type: "string" },
      seconds: { type: "string", default: "280" },
      out: { type: "string" },
      folder: { type: "string", default: join(tmpdir(), "kvjudge-gpu-check") },
      lengths: { type: "string", default: "512,2048" },
      long: { type: "string", default: "8192,32768" },
      staircase: { type: "string", default: "2048,4096,6144" },
      steps: { type: "string", default: "64" },
      budget: { type: "string", default: "256" },
      print: { type: "string", default: "both" },
    },
  });
  const integers = (text: string) => {
    const numbers = text.split(",").map(Number);
    if (numbers.every((number) => Number.isInteger(number) && number > 0)) return numbers;
    refuse(`'${text}' must be whole numbers with commas between them`);
  };
  const { device, print } = values;
  if (device !== "webgpu" && device !== "cpu") refuse(`--device ${device}: give webgpu or cpu`);
  if (!isPrint(print)) refuse(`--print ${print}: give text, json or both`);
  const names = values.only?.split(",") ?? SECTIONS.map(({ name }) => name);
  const sections = names.map((name) =>
    SECTIONS.find((section) => section.name === name) ??
      refuse(`--only ${name}: the sections are ${SECTIONS.map((one) => one.name).join(", ")}`)
  );
  const [seconds = 0] = integers(values.seconds);
  const [steps = 0] = integers(values.steps);
  const [budget = 0] = integers(values.budget);
  const options: CheckOptions = {
    ...{ device, model: values.model, folder: values.folder, steps, budget },
    lengths: integers(values.lengths),
    long: integers(values.long),
    staircase: integers(values.staircase),
  };
  await Deno.mkdir(options.folder, { recursive: true });
  const module = fileURLToPath(new URL("gpu_check/one_section.ts", import.meta.url));
  const flags = ["run", "-A", "--no-check", "--quiet", "--unstable-webgpu"];
  using results = openResults(values.out, print);
  await runSections(sections, {
    seconds,
    results,
    command: (name) => ({
      program: Deno.execPath(),
      args: [...flags, module, name, JSON.stringify(options)],
    }),
  });
  return results.failed === 0 ? 0 : 1;
}

function isPrint(text: string): text is Print {
  return ["text", "json", "both"].includes(text);
}

if (import.meta.main) Deno.exit(await main());
