import type { BigFormat } from "../big_checkpoint/write.ts";

/** A way to run decoding steps. */
export interface Trial {
  readonly name: string;
  /** Layers that are left of the model. @default {all} */
  readonly layers?: number;
  /** Tokens that are held. @default {512} */
  readonly held?: number;
  /** @default {"q4_0"} */
  readonly format?: BigFormat;
  /** Whether the Node binding opens the device, instead of the C API. @default {false} */
  readonly binding?: boolean;
  /** Kernels that are handed to the driver at once, where the C API does. @default {ours} */
  readonly pending?: number;
  /** Whether the step is captured. @default {false} */
  readonly captured?: boolean;
  /** Steps that feed one another, captured; their time is told for each. */
  readonly ahead?: number;
  /** Whether logits of steps that feed one another stay on the device. @default {false} */
  readonly idsAlone?: boolean;
  /** Whether these draw their tokens, of which the ids alone come back. @default {false} */
  readonly draws?: boolean;
}

/** Trials, those that tell most first. Each runs in a process of its own. */
export const TRIALS: readonly Trial[] = [
  { name: "captured", captured: true },
  { name: "16 ahead", ahead: 16 },
  { name: "16 ahead, ids alone", ahead: 16, idsAlone: true },
  { name: "16 ahead, drawn", ahead: 16, draws: true },
  { name: "4 ahead", ahead: 4 },
  { name: "1 ahead", ahead: 1 },
  { name: "16 ahead, one layer", ahead: 16, layers: 1 },
  { name: "16 ahead, 1024 pending", ahead: 16, pending: 1024 },
  { name: "16 ahead, 16 pending", ahead: 16, pending: 16 },
  { name: "binding", binding: true },
  { name: "not captured" },
  { name: "not captured, 256 pending", pending: 256 },
  { name: "not captured, 1024 pending", pending: 1024 },
  { name: "captured, 4096 held", captured: true, held: 4096 },
  { name: "captured, 32768 held", captured: true, held: 32_768 },
  { name: "captured, 16-bit weights", captured: true, format: "f16" },
];
