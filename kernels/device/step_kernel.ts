import type { StepInputs } from "../step.ts";
import type { DrawSettings } from "../draw_settings.ts";
import type { AheadInputs, AheadStep } from "./ahead.ts";
import type { DeviceTensor } from "./device.ts";
import type { SeenLogits, WantedLogits } from "./unseen_logits.ts";

/** A layer of the cache, as a step reads it and writes into it. */
export interface SlottedLayer {
  /** `[kvHeads, capacity, headDim]`. */
  readonly keys: DeviceTensor;
  /** Like the keys. */
  readonly values: DeviceTensor;
  /**
   * Tokens of each KV head that lie in its first slots: the step's entries go behind them. Those of a
   * sliding layer are more than its window shows.
   */
  readonly lengths: readonly number[];
}

/** What one step on a device reads. */
export interface DeviceStepInputs extends Omit<StepInputs, "past"> {
  /** The layers, each with room for the new tokens. */
  readonly layers: readonly SlottedLayer[];
  /**
   * What of the logits is wanted, where they are those of one token: only which token is likeliest, or nothing.
   *
   * @default {"logits"}
   */
  readonly next?: WantedLogits;
}

/** What one step on a device gives. The caller owns the tensors. */
export interface DeviceStepOutputs extends SeenLogits {
  /** Rotated queries of each layer, `[tokens, heads, headDim]`; none unless asked for. */
  readonly queries: readonly DeviceTensor[];
  /** Attention that each slot received, `[heads, capacity]` for each global layer; none unless asked for. */
  readonly attentionSums: readonly DeviceTensor[];
  /** Norms of what attention reads, `[global layers · tokens]`; absent unless asked for. */
  readonly inputNorms?: DeviceTensor;
  /** What attention reads, `[global layers · tokens, hidden]`; absent unless asked for. */
  readonly layerInputs?: DeviceTensor;
}

/** A step graph, loaded on a device. */
export interface StepRun extends AsyncDisposable {
  run(inputs: DeviceStepInputs): Promise<DeviceStepOutputs>;
}

/** All step graphs of a model, each loaded when a step needs it. */
export interface DeviceStepKernel extends StepRun {
  /**
   * How many decoding steps behind such layers can feed one another; 0 where none can.
   *
   * @param settings How tokens are drawn. Absent: the likeliest are taken.
   */
  mostAhead(layers: readonly SlottedLayer[], settings?: DrawSettings): number;
  /** Runs decoding steps that feed one another. Gives none where the device proves unable. */
  runAhead(inputs: AheadInputs): Promise<readonly AheadStep[]>;
}
