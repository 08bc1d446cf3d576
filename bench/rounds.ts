import type { MeasureCommand, Measurement, Observed } from "./engine/protocol.ts";
import type { Engine } from "./engine/spawn.ts";

/** An engine that takes part, under the name that it has in the results. */
export interface Contestant {
  readonly name: string;
  readonly engine: Engine;
}

/** What is measured of one engine in every round. */
export interface Task extends Contestant {
  /** Prompt tokens. */
  readonly length: number;
  /** Eviction policy. Absent: the full cache. */
  readonly policy?: string;
}

/** One measurement. */
export interface Sample extends Omit<Task, "engine">, Observed<Measurement> {
  readonly round: number;
}

/** What all tasks share. */
export interface RoundSettings {
  readonly rounds: number;
  readonly steps: number;
  readonly budget: number;
  /** Token ids of a text that is long enough for every task. */
  readonly ids: readonly number[];
  readonly onSample: (sample: Sample) => void;
}

/** Above this share of foreign load a measurement says little. */
export const DISTURBED = 0.1;
const ATTEMPTS = 2;
const WARM_UP_TOKENS = 64;

/** Runs all tasks once per round, in turn, so that a slow minute of the machine hits all engines. */
export async function runRounds(
  tasks: readonly Task[],
  { rounds, steps, budget, ids, onSample }: RoundSettings,
): Promise<Sample[]> {
  for (const engine of new Set(tasks.map(({ engine }) => engine))) {
    const command: MeasureCommand = { do: "measure", ids: ids.slice(0, WARM_UP_TOKENS), steps: 8 };
    await engine.ask<Measurement>(command);
  }
  const samples: Sample[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const { engine, ...task } of round % 2 === 0 ? tasks : tasks.toReversed()) {
      const { length, policy } = task;
      const evict = policy === undefined ? {} : { policy, budget };
      const command: MeasureCommand = { do: "measure", ids: ids.slice(0, length), steps, ...evict };
      const sample = { ...task, round, ...await measureQuietly(engine, command) };
      samples.push(sample);
      onSample(sample);
    }
  }
  return samples;
}

/** Repeats a measurement that others disturbed, and returns the least disturbed one. */
async function measureQuietly(
  engine: Engine,
  command: MeasureCommand,
): Promise<Observed<Measurement>> {
  let best = await engine.ask<Measurement>(command);
  for (let attempt = 1; attempt < ATTEMPTS && best.foreignLoad > DISTURBED; attempt++) {
    const next = await engine.ask<Measurement>(command);
    if (next.foreignLoad < best.foreignLoad) best = next;
  }
  return best;
}
