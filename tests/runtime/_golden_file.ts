import { assert } from "@std/assert";
import { readFloats, readTensor } from "../../runtime/checkpoint/safetensors.ts";
import { fixture } from "../_test_model.ts";

/** The answers for one of the tiny checkpoints. */
export interface Golden {
  /** Parsed `golden.json`. */
  readonly settings: {
    readonly tokens: number;
    readonly kept: number;
    readonly layers: number;
    readonly heads: number;
    readonly kv_heads: number;
    readonly head_dim: number;
    /** What sliding layers hold beside what a policy keeps, by its name. */
    readonly policies?: Readonly<Record<string, { readonly held?: readonly number[] }>>;
    /** Layers whose attention the soft tokens' loss compares, where not all are. */
    readonly judge_q?: { readonly layers?: readonly number[] };
  };
  floats(tensor: string): Float32Array;
  integers(tensor: string): number[];
  /** Kept indices of a policy in a layer, per KV head. */
  kept(policy: string, layer: number): number[][];
}

/** Opens the golden of a tiny checkpoint. */
export function openGolden(name: string): Golden {
  const path = fixture(`${name}/golden.safetensors`);
  const settings = JSON.parse(Deno.readTextFileSync(fixture(`${name}/golden.json`)));
  const integers = (tensor: string) => {
    const { data } = readTensor(path, tensor);
    assert(data instanceof Int32Array, `${tensor} has no integers`);
    return [...data];
  };
  return {
    settings,
    floats: (tensor) => readFloats(path, tensor).data,
    integers,
    kept: (policy, layer) => rowsOf(integers(`${policy}.kept.${layer}`), settings.kv_heads),
  };
}

/** Splits a list into equal rows. */
export function rowsOf<T>(values: readonly T[], rows: number): T[][] {
  const width = values.length / rows;
  return Array.from({ length: rows }, (_, row) => values.slice(row * width, (row + 1) * width));
}
