import type { Draw } from "./draw.ts";

/** Damages a file. */
export type Mutation = (whole: Uint8Array, draw: Draw) => Uint8Array;

/** A whole file that is damaged again and again. */
export interface Sample {
  /** Where it lies; the damaged file takes its place while it is opened. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Opens what lies there as a program of a user would: it returns, or throws a `KvjudgeError`. */
  open(draw: Draw): Promise<void>;
}

/** A kind of file that strangers hand us. */
export interface FuzzTarget {
  readonly name: string;
  /** Mutations that know the format; those of plain bytes are always tried as well. */
  readonly mutations: readonly Mutation[];
  /** Makes whole files in a folder. */
  prepare(folder: string): Promise<readonly [Sample, ...Sample[]]>;
}

/** How a case went. */
export interface CaseResult {
  readonly target: string;
  readonly index: number;
  readonly outcome: "read" | "refused" | "failed";
  /** Processor time. */
  readonly milliseconds: number;
  /** Bytes of the damaged file. */
  readonly bytes: number;
  /** Bytes of the arrays that were asked for. */
  readonly allocated: number;
  /** What went wrong, or the sentence that refused the file. */
  readonly message?: string;
}
