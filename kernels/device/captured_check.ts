import { unrotated } from "../layer_nodes.ts";
import { cast } from "../onnx/cast.ts";
import { createGraph, type Graph } from "../onnx/graph.ts";
import { type RotaryRows, rotaryRows } from "../rope.ts";
import { rotaryNames } from "../rotary_inputs.ts";
import { floats, int32s } from "../session.ts";
import type { Device } from "./device.ts";
import { attention, isClose, type TriedHeads, waves } from "./known_attention.ts";
import { inHalf } from "./half.ts";
import type { CacheElement } from "./layer_buffers.ts";
import { layerPorts } from "./layer_ports.ts";
import { repeatedTables, ROTARY_ROOM } from "./rotary_room.ts";
import { attendInSlots, countedTokens } from "./step_attention.ts";
import { attendInWindow, createWindowRooms, windowPlace } from "./window_attention.ts";

/** Steps that are tried: the first two are recorded, the others replayed. */
const STEPS = 6;

/** Tokens that were dropped before: positions run ahead of slots. */
const DROPPED = 3;

const EPSILON = 1e-6;
const PORTS = layerPorts(0);

/**
 * Tries attention as a captured step has it, on numbers whose answer is known: one operator takes queries,
 * keys and values apart, normalises heads where the model does, rotates, writes into the cache and
 * attends, by lengths that it reads on the device.
 */
export async function isCapturedRight(
  device: Device,
  heads: TriedHeads,
  element: CacheElement,
  normed: boolean,
): Promise<boolean> {
  const { capture } = device;
  if (!capture) return false;
  try {
    const { kvHeads, headDim } = heads;
    const width = (heads.heads + 2 * kvHeads) * headDim;
    await using kernel = await capture.load(checkGraph(heads, element, normed));
    using made = new DisposableStack();
    const tensor = (dims: readonly number[], type: "float32" | "int32") =>
      made.use(capture.tensor(dims, type));
    const zeros = async (dims: readonly number[]) => made.use(await device.zeros(dims, element));
    const slots = [1, kvHeads, STEPS + 3, headDim];
    const [keys, values] = [await zeros(slots), await zeros(slots)];
    const [cos, sin] = rotaryNames(0);
    const qkv = tensor([1, width], "float32");
    const tables = {
      cos: tensor([1, headDim / 2], "float32"),
      sin: tensor([1, headDim / 2], "float32"),
    };
    const counts = { last: tensor([1], "int32"), total: tensor([1], "int32") };
    const inputs = {
      qkv,
      [`${cos}_32`]: tables.cos,
      [`${sin}_32`]: tables.sin,
      [ROTARY_ROOM]: await zeros([STEPS + 3, headDim / 2]),
      [PORTS.keys]: keys,
      [PORTS.values]: values,
      [PORTS.lastIndex]: counts.last,
      [PORTS.total]: counts.total,
    };
    const mixed = tensor([1, heads.heads * headDim], "float32");
    using windows = createWindowRooms(capture, heads, element);
    const outputs = {
      ...{ mixed, [PORTS.presentKeys]: keys, [PORTS.presentValues]: values },
      ...(heads.window === undefined ? {} : windows.outputs(0, heads.window)),
    };
    const past = { keys: [] as number[], values: [] as number[] };
    for (let step = 0; step < STEPS; step++) {
      const numbers = waves(width, step + 1);
      const rotary = rotaryRows(frequencies(headDim), DROPPED + step, 1);
      kernel.write("qkv", qkv, floats(numbers, qkv.dims));
      kernel.write(cos, tables.cos, floats(rotary.cos, tables.cos.dims));
      kernel.write(sin, tables.sin, floats(rotary.sin, tables.sin.dims));
      kernel.write("last_index", counts.last, int32s([step]));
      kernel.write("total", counts.total, int32s([step + 1]));
      await kernel.run({ inputs, outputs });
      const queries = heads.heads * headDim;
      const end = queries + kvHeads * headDim;
      const turned = (part: Float32Array, factor: number) =>
        turnedHeads(part, rotary, normed ? factor : undefined);
      past.keys.push(...turned(numbers.subarray(queries, end), KEY_NORM));
      past.values.push(...numbers.subarray(end));
      const expected = attention(
        heads,
        turned(numbers.subarray(0, queries), QUERY_NORM),
        past,
        step,
      );
      if (!isClose(kernel.floats("mixed", mixed), expected, element)) return false;
    }
    return true;
  } catch {
    return false;
  }
}

/** Factors of normalised heads. */
const QUERY_NORM = 0.5;
const KEY_NORM = 0.75;

function checkGraph(heads: TriedHeads, element: CacheElement, normed: boolean): Graph {
  const plain = createGraph("captured_check");
  const builder = element === "float16" ? inHalf(plain) : plain;
  const { kvHeads, headDim, window } = heads;
  const given = (name: string, width: number, as: string) => {
    plain.input(name, "float32", [1, width]);
    if (element === "float16") cast(plain, name, element, [as]);
    else plain.op("Identity", [name], { names: [as] });
  };
  given("qkv", (heads.heads + 2 * kvHeads) * headDim, "given");
  for (const name of rotaryNames(0)) given(`${name}_32`, headDim / 2, name);
  const [tables] = repeatedTables(plain, { ropes: [0], headDim }, element);
  const norm = (factor: number) => new Float32Array(headDim).fill(factor);
  const norms = normed ? { queryNorm: norm(QUERY_NORM), keyNorm: norm(KEY_NORM) } : {};
  const tokens = unrotated(builder, { ...heads, rmsEpsilon: EPSILON }, norms, {
    ...{ qkv: "given", rope: 0 },
  });
  const step = { shape: heads, layer: 0, element, window };
  const counted = countedTokens(plain, 0);
  const mixed = window === undefined
    ? attendInSlots(plain, tokens, step, counted, tables)
    : attendInWindow(
      plain,
      tokens,
      step,
      windowPlace(plain, counted.total, { window, kvHeads }),
      tables ?? [],
    );
  // A node that computes: copies are not recorded.
  const one = plain.constant(Float32Array.of(1), []);
  plain.op("Mul", [cast(plain, mixed, "float32"), one], { names: ["mixed"] });
  plain.output("mixed", "float32", [1, heads.heads * headDim]);
  return plain.build();
}

function frequencies(headDim: number): Float32Array {
  return Float32Array.from({ length: headDim / 2 }, (_, index) => 1 / (1 + index));
}

/** Heads, normalised where there is a factor, and rotated. */
function turnedHeads(
  part: Float32Array,
  { cos, sin }: RotaryRows,
  factor: number | undefined,
): Float32Array {
  const half = cos.length;
  const turned = new Float32Array(part.length);
  for (let at = 0; at < part.length; at += 2 * half) {
    const head = part.subarray(at, at + 2 * half);
    const mean = head.reduce((sum, value) => sum + value * value, 0) / head.length;
    const scale = factor === undefined ? 1 : factor / Math.sqrt(mean + EPSILON);
    for (let index = 0; index < half; index++) {
      const [a, b] = [(head[index] ?? 0) * scale, (head[index + half] ?? 0) * scale];
      turned[at + index] = a * (cos[index] ?? 0) - b * (sin[index] ?? 0);
      turned[at + index + half] = b * (cos[index] ?? 0) + a * (sin[index] ?? 0);
    }
  }
  return turned;
}
