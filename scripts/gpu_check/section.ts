import type { FindingValue } from "./finding.ts";

/** What all sections are told. It crosses to their processes as JSON. */
export interface CheckOptions {
  /** `cpu` runs the graphs of a device on the processor, to try the check itself. */
  readonly device: "webgpu" | "cpu";
  /** Shape of the random checkpoint, such as `1.3b`; or the path of a checkpoint. */
  readonly model: string;
  /** Folder for checkpoints and converted weights, kept between runs. */
  readonly folder: string;
  /** Prompt lengths of the section `speed`. */
  readonly lengths: readonly number[];
  /** Prompt lengths of the section `long`. */
  readonly long: readonly number[];
  /** Prompt lengths of the section `staircase`. */
  readonly staircase: readonly number[];
  /** Tokens that policies keep. */
  readonly budget: number;
  /** Decoding steps that are timed. */
  readonly steps: number;
}

/** Tells what was found. */
export type Report = (
  what: string,
  values: Readonly<Record<string, FindingValue>>,
  pass?: boolean,
) => void;

/** A part of the check, which runs in a process of its own. */
export interface Section {
  readonly name: string;
  /** Seconds after which it is ended. */
  readonly seconds: number;
  /** Seconds without which it is not worth beginning. */
  readonly least: number;
  run(options: CheckOptions, report: Report): Promise<void>;
}

/** What the runner needs of a section. */
export type PlannedSection = Pick<Section, "name" | "seconds" | "least">;
