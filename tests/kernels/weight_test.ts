import { assert, assertEquals } from "@std/assert";
import { floats, floatsOf } from "../../kernels/session.ts";
import { type Arithmetic, BLOCK, declareWeight, type Weight } from "../../kernels/weight.ts";
import { assertClose, noise } from "../_close.ts";
import { runGraph } from "./_run_graph.ts";
import { type BlockParts, product, storedBlocks, storedFloats } from "./_weight_file.ts";

/** Of float32 sums over at most some hundred products around 1. */
const EXACT = { absolute: 2e-5, relative: 1e-5 };

const COLUMNS = [32, 40, 12, 96, 100];
const TOKENS = [1, 5, 33];

async function multiply(
  weight: Weight,
  input: Float32Array,
  arithmetic: Arithmetic,
): Promise<Float32Array> {
  const tokens = input.length / weight.columns;
  const outputs = await runGraph({ x: floats(input, [tokens, weight.columns]) }, (graph) => {
    graph.input("x", "float32", ["S", weight.columns]);
    const result = declareWeight(graph, weight)(graph, "x", arithmetic);
    graph.output(result, "float32", ["S", weight.rows]);
  });
  return floatsOf(Object.values(outputs)[0]);
}

for (const type of ["float32", "float16", "bfloat16"] as const) {
  Deno.test(`declareWeight() multiplies with ${type} as it lies, and with heads interleaved`, async () => {
    for (const [rows, columns, heads] of [[10, 40, undefined], [24, 12, 2], [36, 32, 3]] as const) {
      using stored = storedFloats(type, rows, columns, heads);
      for (const tokens of TOKENS) {
        const input = noise(tokens * columns, tokens);
        const expected = product(input, stored.matrix, columns);
        for (const arithmetic of ["float", "unpacked"] as const) {
          assertClose(await multiply(stored.weight, input, arithmetic), expected, EXACT);
        }
      }
    }
  });
}

const KINDS: Readonly<Record<string, BlockParts>> = {
  "8 bits": { bits: 8 },
  "8 bits with zero points": { bits: 8, zeroPoints: true },
  "4 bits": { bits: 4 },
  "4 bits with offsets": { bits: 4, offsets: true },
};

for (const [name, parts] of Object.entries(KINDS)) {
  // Offsets are those of files whose rows are whole blocks.
  const columnCounts = COLUMNS.filter((columns) => !parts.offsets || columns % BLOCK === 0);

  Deno.test(`declareWeight() multiplies ${name} exactly in float arithmetic`, async () => {
    for (const columns of columnCounts) {
      using stored = storedBlocks(parts, 37, columns);
      for (const tokens of TOKENS) {
        const input = noise(tokens * columns, tokens);
        const expected = product(input, stored.matrix, columns);
        for (const arithmetic of ["float", "unpacked"] as const) {
          assertClose(await multiply(stored.weight, input, arithmetic), expected, EXACT);
        }
      }
    }
  });

  Deno.test(`declareWeight() rounds only the activations of ${name} in integer arithmetic`, async () => {
    for (const columns of columnCounts) {
      using stored = storedBlocks(parts, 37, columns);
      for (const tokens of TOKENS) {
        const input = noise(tokens * columns, tokens);
        const expected = product(input, stored.matrix, columns);
        const actual = await multiply(stored.weight, input, "integer");
        const bounds = roundingBounds(input, stored.matrix, columns);
        assertEquals(actual.length, expected.length);
        for (const [index, bound] of bounds.entries()) {
          const error = Math.abs((actual[index] ?? NaN) - (expected[index] ?? NaN));
          assert(
            error <= bound,
            `${columns} columns, ${tokens} rows, [${index}]: ${error} > ${bound}`,
          );
        }
      }
    }
  });

  Deno.test(`declareWeight() multiplies ${name} without rounding when it goes twice`, async () => {
    for (const columns of columnCounts.filter((count) => count % BLOCK === 0)) {
      using stored = storedBlocks(parts, 37, columns);
      for (const tokens of TOKENS) {
        const input = noise(tokens * columns, tokens);
        input.fill(0, 0, BLOCK);
        const expected = product(input, stored.matrix, columns);
        const actual = await multiply(stored.weight, input, "twice");
        assertClose(actual, expected, { absolute: 1e-3, relative: 1e-3 });
      }
    }
  });
}

/** What rounding each block of the input to 127 steps can change at most, for each output. */
function roundingBounds(input: Float32Array, matrix: Float32Array, columns: number): Float64Array {
  const steps = new Float32Array(input.length);
  for (let start = 0; start < input.length; start += columns) {
    for (let from = start; from < start + columns; from += BLOCK) {
      const to = Math.min(from + BLOCK, start + columns);
      const largest = Math.max(...input.subarray(from, to).map(Math.abs));
      steps.fill(largest / 127, from, to);
    }
  }
  // Half a step, and a little for float32 sums.
  const bounds = product(steps, matrix.map(Math.abs), columns);
  return bounds.map((bound) => 0.51 * bound + 1e-5);
}
