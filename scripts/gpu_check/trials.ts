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
}

/** Trials, those that tell most first. Each runs in a process of its own. */
export const TRIALS: readonly Trial[] = [
  { name: "captured", captured: true },
  { name: "binding", binding: true },
  { name: "not captured" },
  { name: "captured, 1024 pending", captured: true, pending: 1024 },
  { name: "not captured, 16 pending", pending: 16 },
  { name: "not captured, 256 pending", pending: 256 },
  { name: "not captured, 1024 pending", pending: 1024 },
  { name: "captured, one layer", captured: true, layers: 1 },
  { name: "captured, 16 pending", captured: true, pending: 16 },
  { name: "captured, 4096 pending", captured: true, pending: 4096 },
  { name: "captured, 4096 held", captured: true, held: 4096 },
  { name: "captured, 32768 held", captured: true, held: 32_768 },
  { name: "captured, 16-bit weights", captured: true, format: "f16" },
];
