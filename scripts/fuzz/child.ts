/**
 * Runs cases of one target and prints a line of JSON for each. A process of its own, so that a case
 * may crash it or never end.
 *
 * @module
 */
import process from "node:process";
import { type AllocationMeter, meterAllocations } from "./allocations.ts";
import { drawOf } from "./draw.ts";
import { BYTE_MUTATIONS } from "./mutate_bytes.ts";
import type { CaseResult, FuzzTarget, Sample } from "./target.ts";

/** Bytes that opening a file may take besides the file's own. */
const ALLOWANCE = 64 * 2 ** 20;

/** Processor time that a case may take. */
const MILLISECONDS = 1000;

/** Longer sentences are no sentences. */
const MESSAGE_LENGTH = 2000;

/** Said once the whole files were opened. */
export const READY = "{}";

/** Which cases to run. */
export interface ChildOrder {
  /** Module that exports `TARGETS`. */
  readonly registry: string;
  readonly target: string;
  readonly seed: number;
  readonly from: number;
  readonly count: number;
  /** Empty folder to work in. */
  readonly folder: string;
  /** Also leaves the damaged file of the last case here. */
  readonly keep?: string;
}

async function runCases(order: ChildOrder, meter: AllocationMeter): Promise<void> {
  const { TARGETS }: { TARGETS: readonly FuzzTarget[] } = await import(order.registry);
  const target = TARGETS.find(({ name }) => name === order.target);
  if (!target) throw new Error(`There is no target ${order.target}`);
  const samples = await target.prepare(order.folder);
  // A first opening loads what is loaded once, and proves that the whole files are whole.
  for (const sample of samples) {
    await Deno.writeFile(sample.path, sample.bytes);
    await sample.open(drawOf(0, target.name, 0));
  }
  console.log(READY);
  for (let index = order.from; index < order.from + order.count; index++) {
    const result = await runCase(target, samples, order, index, meter);
    console.log(JSON.stringify(result));
  }
}

async function runCase(
  { name, mutations }: FuzzTarget,
  samples: readonly [Sample, ...Sample[]],
  { seed, keep }: ChildOrder,
  index: number,
  meter: AllocationMeter,
): Promise<CaseResult> {
  const draw = drawOf(seed, name, index);
  const sample = draw.pick(samples);
  let bytes = sample.bytes;
  for (let rounds = draw.pick([1, 1, 1, 2, 3]); rounds > 0; rounds--) {
    const [first, ...others] = mutations;
    const known = first !== undefined && draw.below(3) > 0;
    bytes = draw.pick(known ? [first, ...others] : BYTE_MUTATIONS)(bytes, draw);
  }
  await Deno.writeFile(sample.path, bytes);
  if (keep !== undefined) await Deno.writeFile(keep, bytes);
  const before = process.cpuUsage();
  const limit = bytes.length + ALLOWANCE;
  meter.start(limit);
  const thrown = await sample.open(draw).then(() => undefined, (error: unknown) => ({ error }));
  const allocated = meter.stop();
  const { user, system } = process.cpuUsage(before);
  await Deno.writeFile(sample.path, sample.bytes);
  const milliseconds = (user + system) / 1000;
  const known = { target: name, index, milliseconds, bytes: bytes.length, allocated };
  const problem = await problemOf(thrown, milliseconds) ??
    (allocated > limit ? `asks for ${allocated} bytes of arrays, not ${limit}` : undefined);
  if (problem !== undefined) return { ...known, outcome: "failed", message: problem };
  if (!thrown) return { ...known, outcome: "read" };
  return { ...known, outcome: "refused", message: messageOf(thrown.error) };
}

async function problemOf(
  thrown: { readonly error: unknown } | undefined,
  milliseconds: number,
): Promise<string | undefined> {
  if (milliseconds > MILLISECONDS) return `takes ${milliseconds.toFixed(0)} ms`;
  if (!thrown) return undefined;
  const { KvjudgeError } = await import("../../runtime/errors.ts");
  const { error } = thrown;
  if (!(error instanceof KvjudgeError)) {
    return error instanceof Error ? error.stack ?? error.message : String(error);
  }
  const { length } = error.message;
  if (length > MESSAGE_LENGTH) return `says ${length} characters: ${error.message.slice(0, 200)}…`;
  // deno-lint-ignore no-control-regex
  const control = /[\x00-\x09\x0b-\x1f\x7f-\x9f]/.test(error.message);
  return control ? `moves the terminal's cursor: ${JSON.stringify(error.message)}` : undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

if (import.meta.main) {
  const meter = meterAllocations();
  const order: ChildOrder = JSON.parse(Deno.args[0] ?? "{}");
  await runCases(order, meter);
}
