import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { KvjudgeError, registry } from "../mod.ts";
import { type PrecisionChoice, PRECISIONS } from "../runtime/models/mod.ts";
import { SHAPES } from "../scripts/big_checkpoint/shapes.ts";
import { EVICTING_POLICY } from "./results.ts";

/** What the bench is to do. */
export interface BenchOptions {
  readonly model: string;
  /** Prompt lengths in tokens, ascending. */
  readonly lengths: readonly number[];
  readonly rounds: number;
  /** Tokens decoded in each measurement. */
  readonly steps: number;
  /** Tokens kept per KV head. */
  readonly budget: number;
  /** Policies whose share of the prefill is measured at the longest length. */
  readonly policies: readonly string[];
  readonly threads: number;
  readonly precision: PrecisionChoice;
  /** Positions of the text that quality is measured at. */
  readonly positions: number;
  /** Shapes of random checkpoints that are measured instead. */
  readonly shapes: readonly string[];
  /** Tokens of the prompt that these read. */
  readonly shapeTokens: number;
  readonly json: boolean;
  readonly help: boolean;
}

/** The help text. */
export const USAGE = `Usage: deno task bench [options]

Measures kvjudge beside llama.cpp on this machine: speed, memory and quality.

  --lengths 512,2048        prompt lengths in tokens (default: 512, 2048, 4096, and 8128, which leaves
                            room for an answer in a context of 8192)
  --rounds 3                rounds; each measures everything once
  --steps 48                tokens decoded in each measurement
  --budget 256              tokens kept per KV head
  --policies judge_q,h2o    whose share of reading the longest prompt is measured beside snapkv's
  --threads N               threads of each engine (default: one per processor)
  --precision auto          auto, fp32, int8 or int4
  --model NAME              name, folder or .gguf file; llama.cpp takes part for .gguf files
  --shape 1.3b,8b           instead: memory and speed of random checkpoints in these shapes, written
                            first; reads --lengths tokens (default: 2048)
  --quick                   one round at 512 tokens, few positions for quality
  --json                    end with one JSON object
  --help                    show this
`;

/**
 * Reads the command line.
 *
 * @throws {KvjudgeError} If an option is unknown or out of range.
 */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parse(args);
  const quick = values.quick === true;
  const number = (name: "rounds" | "steps" | "budget" | "threads", fallback: number) =>
    parseCount(`--${name}`, values[name] ?? String(fallback));
  const lengths = (values.lengths ?? (quick ? "512" : "512,2048,4096,8128")).split(",")
    .map((text) => parseCount("--lengths", text)).toSorted((a, b) => a - b);
  const precision = PRECISIONS.find((name) => name === (values.precision ?? "auto"));
  if (precision === undefined) {
    throw new KvjudgeError(
      `Cannot measure precision '${values.precision}': give one of ${PRECISIONS.join(", ")}`,
    );
  }
  return {
    model: values.model ?? "smollm2-135m-instruct",
    lengths,
    rounds: number("rounds", quick ? 1 : 3),
    steps: number("steps", quick ? 24 : 48),
    budget: number("budget", 256),
    policies: [EVICTING_POLICY, ...policiesOf(values.policies ?? "judge_q,h2o")],
    threads: number("threads", availableParallelism()),
    precision,
    positions: quick ? 48 : 304,
    shapes: shapesOf(values.shape ?? ""),
    shapeTokens: values.lengths === undefined ? 2048 : lengths.at(-1) ?? 2048,
    json: values.json === true,
    help: values.help === true,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        model: { type: "string" },
        lengths: { type: "string" },
        rounds: { type: "string" },
        steps: { type: "string" },
        budget: { type: "string" },
        policies: { type: "string" },
        threads: { type: "string" },
        precision: { type: "string" },
        shape: { type: "string" },
        quick: { type: "boolean" },
        json: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new KvjudgeError(`Cannot read the command line: ${reason}; see --help`);
  }
}

/** Names of policies; an empty list is none. */
function policiesOf(text: string): readonly string[] {
  const names = text.split(",").map((name) => name.trim()).filter((name) => name !== "");
  const unknown = names.find((name) => !Object.hasOwn(registry, name));
  if (unknown === undefined) return names.filter((name) => name !== EVICTING_POLICY);
  throw new KvjudgeError(
    `Cannot measure policy '${unknown}': give some of ${Object.keys(registry).join(", ")}`,
  );
}

/** Names of shapes; an empty list is none. */
function shapesOf(text: string): readonly string[] {
  const names = text.split(",").map((name) => name.trim()).filter((name) => name !== "");
  const unknown = names.find((name) => !Object.hasOwn(SHAPES, name));
  if (unknown === undefined) return names;
  throw new KvjudgeError(
    `Cannot measure shape '${unknown}': give some of ${Object.keys(SHAPES).join(", ")}`,
  );
}

function parseCount(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isInteger(value) && value >= 1) return value;
  throw new KvjudgeError(`Cannot use ${name} ${text}: give integers of at least 1`);
}
