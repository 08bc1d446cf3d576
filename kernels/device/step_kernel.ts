import type { RotaryRows } from "../rope.ts";
import type { DeviceTensor } from "./device.ts";

/** A layer of the cache, as a step reads it and writes into it. */
export interface SlottedLayer {
  /** `[kvHeads, capacity, headDim]`. */
  readonly keys: DeviceTensor;
  /** Like the keys. */
  readonly values: DeviceTensor;
  /** Tokens of each KV head: the step's entries go into the slots behind them. */
  readonly lengths: readonly number[];
}

/** What one step on a device reads. */
export interface DeviceStepInputs {
  /** Token ids, `[S]`. */
  readonly ids: readonly number[];
  /** Rows that follow the ids, `[E, hidden]`: soft tokens. */
  readonly embeddings?: Float32Array;
  /** Rotary tables of the new tokens. */
  readonly rotary: RotaryRows;
  /** New tokens whose logits are wanted, from 0; at least one. */
  readonly rows: readonly number[];
  /** The layers, each with room for the new tokens. */
  readonly layers: readonly SlottedLayer[];
  /** Whether the queries are wanted. @default {false} */
  readonly queries?: boolean;
  /** Whether the attention that each slot receives is wanted. @default {false} */
  readonly observe?: boolean;
  /** Adapter tensors by name, all of them: only for a kernel with adapters. */
  readonly adapters?: Readonly<Record<string, Float32Array>>;
}

/** What one step on a device gives. The caller owns the tensors. */
export interface DeviceStepOutputs {
  /** `[rows, vocabulary]`. */
  readonly logits: Float32Array;
  /** Rotated queries of each layer, `[tokens, heads, headDim]`; none unless asked for. */
  readonly queries: readonly DeviceTensor[];
  /** Attention that each slot received, `[heads, capacity]` for each layer; none unless asked for. */
  readonly attentionSums: readonly DeviceTensor[];
}

/** The step graph, loaded on a device. */
export interface DeviceStepKernel extends AsyncDisposable {
  run(inputs: DeviceStepInputs): Promise<DeviceStepOutputs>;
}
