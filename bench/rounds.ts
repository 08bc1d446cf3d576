import { waitForQuiet } from "./engine/load.ts";
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
/** Milliseconds that a measurement waits for other programs to finish. */
const PATIENCE = 20_000;
/** More than one chunk, and more than is kept: everything is used once before it is measured. */
const WARM_UP = { tokens: 320, steps: 8, budget: 128 };

/** Runs all tasks once per round, in turn, so that a slow minute of the machine hits all engines. */
export async function runRounds(
  tasks: readonly Task[],
  { rounds, steps, budget, ids, onSample }: RoundSettings,
): Promise<Sample[]> {
  const kinds = new Map(tasks.map((task) => [`${task.name} ${task.policy}`, task]));
  for (const { engine, policy } of kinds.values()) {
    const command = toCommand(ids.slice(0, WARM_UP.tokens), WARM_UP.steps, policy, WARM_UP.budget);
    await engine.ask<Measurement>(command);
  }
  const samples: Sample[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const { engine, ...task } of round % 2 === 0 ? tasks : tasks.toReversed()) {
      const { length, policy } = task;
      const command = toCommand(ids.slice(0, length), steps, policy, budget);
      const sample = { ...task, round, ...await measureQuietly(engine, command) };
      samples.push(sample);
      onSample(sample);
    }
  }
  return samples;
}

function toCommand(
  ids: readonly number[],
  steps: number,
  policy: string | undefined,
  budget: number,
): MeasureCommand {
  return { do: "measure", ids, steps, ...(policy === undefined ? {} : { policy, budget }) };
}

/** Measures when the machine is quiet, once more if it did not stay so, and returns the better. */
async function measureQuietly(
  engine: Engine,
  command: MeasureCommand,
): Promise<Observed<Measurement>> {
  const measure = async () => {
    await waitForQuiet(PATIENCE);
    return await engine.ask<Measurement>(command);
  };
  const first = await measure();
  if (first.foreignLoad <= DISTURBED) return first;
  const second = await measure();
  return second.foreignLoad < first.foreignLoad ? second : first;
}
