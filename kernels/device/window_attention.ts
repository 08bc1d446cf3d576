import type { RotatedTokens } from "../layer_nodes.ts";
import { cast } from "../onnx/cast.ts";
import type { GraphBuilder, Value } from "../onnx/graph.ts";
import type { StepModel } from "../step_model.ts";
import type { DeviceTensor, GraphCapture } from "./device.ts";
import type { CacheElement } from "./layer_buffers.ts";
import { layerPorts } from "./layer_ports.ts";
import { type CountedTokens, groupQueryAttention, type StepAttention } from "./step_attention.ts";

/** Where the only token of a captured step stands in a window, and in the layers that slide by it. */
export interface WindowPlace {
  /** Slots that it sees, its own the last that counts: int32 `[window]`. */
  readonly slots: Value;
  /** Its tokens, counted in the window. */
  readonly counted: CountedTokens;
  /** KV heads and its slot in the layers, int64 `[kvHeads, 3]`. */
  readonly target: Value;
}

/** Names of what a layer sees of its window. */
function windowPorts(layer: number) {
  return {
    keys: `window_keys.${layer}`,
    values: `window_values.${layer}`,
    seenKeys: `seen_keys.${layer}`,
    seenValues: `seen_values.${layer}`,
  };
}

/**
 * Computes a {@linkcode WindowPlace}, once for all layers of a window: they hold equally many tokens.
 *
 * @param total Tokens that they hold behind the step, int32 `[1]`.
 */
export function windowPlace(
  plain: GraphBuilder,
  total: Value,
  { window, kvHeads }: { readonly window: number; readonly kvHeads: number },
): WindowPlace {
  const number = (value: number) => plain.constant(Float32Array.of(value), [1]);
  const held = cast(plain, total, "float32");
  const own = plain.op("Sub", [held, number(1)]);
  const first = plain.op("Max", [plain.op("Sub", [held, number(window)]), number(0)]);
  const counting = Float32Array.from({ length: window }, (_, slot) => slot);
  // Of a shorter text, what lies behind its own slot does not count.
  const slots = plain.op("Min", [
    plain.op("Add", [plain.constant(counting, [window]), first]),
    own,
  ]);
  const seen = plain.op("Min", [held, number(window)]);
  const heads = Float32Array.from({ length: 2 * kvHeads }, (_, at) => at % 2 * (at >> 1));
  const slot = plain.op("Add", [plain.constant(new Float32Array(kvHeads), [kvHeads, 1]), own]);
  return {
    slots: cast(plain, slots, "int32"),
    counted: {
      lastIndex: cast(plain, plain.op("Sub", [seen, number(1)]), "int32"),
      total: cast(plain, seen, "int32"),
    },
    target: cast(
      plain,
      plain.op("Concat", [plain.constant(heads, [kvHeads, 2]), slot], {
        attributes: { axis: { int: 1 } },
      }),
      "int64",
    ),
  };
}

/**
 * Attention of the only token of a captured step within a window: what it sees is gathered, the operator attends to
 * all of that and writes the token's own key and value behind it, from where they go into the cache.
 *
 * The operator has windows, and leaves them out once it is captured: it compares them with a length that lies
 * on the device then and reads 0, and takes no mask, whose size it compares with the same
 * (`use_sliding_window` in `group_query_attention.cc`, `CheckCustomAttentionInputs` in
 * `group_query_attention_helper.h` of onnxruntime).
 *
 * @returns Mixed values, `[1, heads · headDim]`.
 */
export function attendInWindow(
  plain: GraphBuilder,
  { queries, keys, values }: RotatedTokens,
  { shape, layer, element, window = 1 }: StepAttention,
  { slots, counted, target }: WindowPlace,
  tables: readonly Value[],
): Value {
  const { heads, kvHeads, headDim } = shape;
  const ports = layerPorts(layer);
  const seen = windowPorts(layer);
  const size = [1, kvHeads, `C${layer}`, headDim];
  const room = [1, kvHeads, window, headDim];
  const gathered = (entries: Value, name: Value): Value => {
    plain.input(entries, element, size);
    plain.op("Gather", [entries, slots], { attributes: { axis: { int: 2 } }, names: [name] });
    plain.output(name, element, room);
    return name;
  };
  const mixed = groupQueryAttention(plain, { ...shape, rotates: tables.length > 0 }, [
    ...[
      queries,
      keys,
      values,
      gathered(ports.keys, seen.keys),
      gathered(ports.values, seen.values),
    ],
    ...[counted.lastIndex, counted.total, ...tables],
  ], [`mixed.${layer}`, seen.seenKeys, seen.seenValues]);
  for (
    const [from, entries, to] of [
      [seen.seenKeys, ports.keys, ports.presentKeys],
      [seen.seenValues, ports.values, ports.presentValues],
    ] as const
  ) {
    plain.output(from, element, room);
    const own = plain.op("Gather", [from, counted.lastIndex], { attributes: { axis: { int: 2 } } });
    const rows = plain.op("Reshape", [own, plain.integers([kvHeads, headDim])]);
    plain.op("ScatterND", [entries, target, rows], { names: [to] });
    plain.output(to, element, size);
  }
  return plain.op("Reshape", [mixed, plain.integers([-1, heads * headDim])]);
}

/** Tensors that windows are gathered into, for all captured graphs of a model. Owns them. */
export interface WindowRooms extends Disposable {
  /** What a graph writes for a layer with a window. */
  outputs(layer: number, window: number): Readonly<Record<string, DeviceTensor>>;
}

/** Makes none yet. Runs follow one another: what one has left in a room means nothing to the next. */
export function createWindowRooms(
  capture: GraphCapture,
  { kvHeads, headDim }: Pick<StepModel, "kvHeads" | "headDim">,
  element: CacheElement,
): WindowRooms {
  const made = new Map<number, { readonly keys: DeviceTensor; readonly values: DeviceTensor }>();
  return {
    outputs(layer, window) {
      const tensor = () => capture.tensor([1, kvHeads, window, headDim], element);
      const room = made.get(layer) ?? { keys: tensor(), values: tensor() };
      made.set(layer, room);
      const seen = windowPorts(layer);
      return {
        [seen.keys]: room.keys,
        [seen.values]: room.values,
        [seen.seenKeys]: room.keys,
        [seen.seenValues]: room.values,
      };
    },
    [Symbol.dispose]() {
      for (const { keys, values } of made.values()) {
        keys[Symbol.dispose]();
        values[Symbol.dispose]();
      }
      made.clear();
    },
  };
}

/** The kinds of layers whose tokens are counted apart: their windows, each once; `undefined` for global ones. */
export function countedKinds(
  { layerKinds }: Pick<StepModel, "layerKinds">,
): (number | undefined)[] {
  return [...new Set(layerKinds.map(({ window }) => window))];
}

/** Whether all KV heads of all layers of a kind hold equally many tokens. */
export function holdAlike(
  layers: readonly { readonly lengths: readonly number[] }[],
  { layerKinds }: Pick<StepModel, "layerKinds">,
): boolean {
  return countedKinds({ layerKinds }).every((window) => {
    const ofKind = layers.filter((_, layer) => layerKinds[layer]?.window === window);
    const [first] = ofKind[0]?.lengths ?? [];
    return ofKind.every(({ lengths }) => lengths.every((length) => length === first));
  });
}
