import type { RotaryRows } from "../../../kernels/rope.ts";
import type { StepInputs, StepOutputs } from "../../../kernels/step.ts";
import { hostCacheOf } from "../../cache/host_cache.ts";
import type { ModelConfig } from "../../checkpoint/checkpoint.ts";
import type { StepInput, StepResult } from "../engine.ts";
import { advanceTogether } from "../advance_together.ts";
import type { NextToken, Sequence } from "../sequence.ts";
import type { Writing } from "./past_layers.ts";

/** What {@linkcode createTogether} works with. */
export interface TogetherParts {
  readonly config: Pick<ModelConfig, "layers" | "kvHeads" | "headDim" | "vocabulary">;
  /** Sequences that one step may advance at most. */
  readonly sequences: number;
  /** Runs the step graph. */
  readonly run: (inputs: StepInputs) => Promise<StepOutputs>;
  /** What a sequence brings to a step that reads so many tokens behind it. */
  readonly inputsOf: (
    sequence: Sequence,
    tokens: number,
    writing: Writing,
  ) => Pick<StepInputs, "rotary" | "past">;
  readonly alone: (
    sequence: Sequence,
    input: StepInput,
  ) => Promise<StepResult & Pick<StepOutputs, "entries">>;
}

/**
 * Reads one token behind each of several sequences, with one run of the graph for as many as it can
 * take.
 *
 * Whether a processor's products of several rows give each row the numbers that it has alone depends on
 * its kernels. So the first step of so many sequences is done both ways; where these differ, so many
 * are read one after the other from then on.
 */
export function createTogether(
  { config: { layers, kvHeads, headDim, vocabulary }, sequences, run, inputsOf, alone }:
    TogetherParts,
): (next: readonly NextToken[]) => Promise<readonly Float32Array[]> {
  const exact = new Map<number, boolean>();
  const width = kvHeads * headDim;

  const step = async (next: readonly NextToken[], writing: Writing): Promise<StepOutputs> => {
    const inputs = next.map(({ sequence }) => inputsOf(sequence, 1, writing));
    const [first, ...others] = inputs.map(({ past }) => past);
    return await run({
      ids: next.map(({ id }) => id),
      rotary: joinedRotary(inputs.map(({ rotary }) => rotary)),
      rows: next.map((_, index) => index),
      past: first ?? [],
      others,
    });
  };
  const logitsOf = ({ logits }: StepOutputs, index: number) =>
    logits.subarray(index * vocabulary, (index + 1) * vocabulary);
  const append = (next: readonly NextToken[], { entries, written }: StepOutputs) => {
    for (const [index, { sequence }] of next.entries()) {
      const cache = hostCacheOf(sequence.cache);
      const [start, end] = [index * width, (index + 1) * width];
      entries.forEach(({ keys, values }, layer) => {
        if (written[index]?.[layer]) return cache.commit(layer, 1, sequence.position);
        cache.append(
          layer,
          keys.subarray(start, end),
          values.subarray(start, end),
          sequence.position,
        );
      });
      sequence.position++;
    }
  };
  /** Whether what is appended and what comes out is the same to the bit. */
  const agree = (
    index: number,
    together: StepOutputs,
    { logits, entries }: Pick<StepOutputs, "logits" | "entries">,
  ): boolean =>
    sameBits(logitsOf(together, index), logits) &&
    entries.every(({ keys, values }, layer) => {
      const of = together.entries[layer];
      const part = (all: Float32Array) => all.subarray(index * width, (index + 1) * width);
      return of !== undefined && sameBits(part(of.keys), keys) && sameBits(part(of.values), values);
    });
  const bothWays = async (next: readonly NextToken[]): Promise<readonly Float32Array[]> => {
    const outputs = await step(next, "elsewhere");
    const logits: Float32Array[] = [];
    let same = true;
    for (const [index, { sequence, id }] of next.entries()) {
      const one = await alone(sequence, { ids: [id] });
      same &&= agree(index, outputs, one);
      logits.push(one.logits);
    }
    exact.set(next.length, same);
    return logits;
  };
  const some = async (next: readonly NextToken[]): Promise<readonly Float32Array[]> => {
    // The graph multiplies with the past as it lies, which must not be empty.
    const ready = next.every(({ sequence: { cache } }) =>
      Array.from({ length: layers }, (_, layer) => cache.length(layer)).every((held) => held > 0)
    );
    const known = exact.get(next.length);
    if (next.length === 1 || !ready || known === false) {
      return await advanceTogether({ advance: alone }, next);
    }
    if (known === undefined) return await bothWays(next);
    const outputs = await step(next, "made room");
    append(next, outputs);
    return next.map((_, index) => logitsOf(outputs, index));
  };
  return async (next) => {
    const logits: Float32Array[] = [];
    for (let start = 0; start < next.length; start += sequences) {
      logits.push(...await some(next.slice(start, start + sequences)));
    }
    return logits;
  };
}

/** Tables of each rope, with a row for each sequence. */
function joinedRotary(tables: readonly (readonly RotaryRows[])[]): readonly RotaryRows[] {
  const [first = []] = tables;
  return first.map((_, rope) => {
    const joined = (name: keyof RotaryRows) =>
      Float32Array.from(tables.flatMap((of) => Array.from(of[rope]?.[name] ?? [])));
    return { cos: joined("cos"), sin: joined("sin") };
  });
}

function sameBits(a: Float32Array, b: Float32Array): boolean {
  const bits = (floats: Float32Array) =>
    new Int32Array(floats.buffer, floats.byteOffset, floats.length);
  const [left, right] = [bits(a), bits(b)];
  return left.length === right.length && left.every((value, index) => value === right[index]);
}
