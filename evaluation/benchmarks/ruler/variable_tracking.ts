import type { GeneratedTask, GenerationRequest } from "../benchmark.ts";
import { createDraw, type Draw } from "../generation/draw.ts";
import { createGeneratedTask, type Preparation } from "../generation/generated_task.ts";
import { stringMatchAll } from "./metrics.ts";
import { insertLines, NOISE_LINE_WORDS, noiseLines } from "./noise.ts";

const NAME = "vt";
const HOPS = 4;

/** Most tokens of the solved example, and most of its share of the prompt. */
const EXAMPLE_TOKENS = 500;
const EXAMPLE_SHARE = 0.5;

/** Fewest lines of noise: one before each assignment. */
const LEAST_LINES = HOPS + 1;

/** RULER's variable tracking: one chain of assignments in noise, after a solved example. */
export function variableTrackingTask(): GeneratedTask {
  return createGeneratedTask({
    name: NAME,
    summary: "Name all variables that have a value, through a chain of assignments.",
    metricName: "string_match_all",
    metric: stringMatchAll,
    maxTokens: 30,
    prepare,
  });
}

function prepare({ tokens, seed, countTokens }: GenerationRequest): Preparation {
  const exampleLines = countExampleLines(
    Math.min(EXAMPLE_TOKENS, Math.floor(EXAMPLE_SHARE * tokens)),
    seed,
    countTokens,
  );
  return {
    min: LEAST_LINES * NOISE_LINE_WORDS,
    open: (index) => {
      const example = solvedExample(createDraw(NAME, "example", seed, index), exampleLines);
      const chain = createChain(createDraw(NAME, seed, index), 5, example.value);
      return (size) => {
        const hidden = hide(chain, size, createDraw(NAME, "positions", seed, index));
        const { context, question, prefix } = wordingOf(hidden.text, chain.value);
        return {
          context: `${example.text}\n\n${context}`,
          question,
          prefix,
          answers: chain.names,
          facts: { depth: hidden.depth, hops: HOPS },
        };
      };
    },
  };
}

/** Lines of noise with which an example just stays within its tokens. */
function countExampleLines(
  tokens: number,
  seed: number,
  countTokens: (text: string) => number,
): number {
  const draw = createDraw(NAME, "calibration", seed);
  let lines = LEAST_LINES;
  while (lines < tokens && countTokens(solvedExample(draw, lines + 1).text) <= tokens) lines++;
  return lines;
}

/** A question with shorter names, and its answer. */
function solvedExample(
  draw: Draw,
  lines: number,
): { readonly text: string; readonly value: string } {
  const chain = createChain(draw, 3);
  const { text } = hide(chain, lines * NOISE_LINE_WORDS, draw);
  const { context, question, prefix } = wordingOf(text, chain.value);
  return {
    text: `${context}${question}${prefix} ${chain.names.join(" ")}`,
    value: chain.value,
  };
}

/** Variables that all have one value. */
interface Chain {
  readonly value: string;
  readonly names: readonly string[];
  readonly lines: readonly string[];
}

function createChain(draw: Draw, letters: number, otherThan?: string): Chain {
  const names = new Set<string>();
  while (names.size <= HOPS) names.add(draw.letters(letters).toUpperCase());
  const order = [...names];
  let value = otherThan;
  while (value === undefined || value === otherThan) value = String(draw.integer(10_000, 99_998));
  return {
    value,
    names: order,
    lines: order.map((name, at) =>
      at === 0 ? `VAR ${name} = ${value}` : `VAR ${name} = VAR ${order[at - 1] ?? ""} `
    ),
  };
}

/** The assignments in their order, anywhere in so many words of noise. */
function hide(
  { lines }: Chain,
  words: number,
  draw: Draw,
): { readonly text: string; readonly depth: number } {
  const whole = Math.floor(words / NOISE_LINE_WORDS);
  const positions = draw.indices(whole, lines.length).sort((one, other) => one - other);
  return {
    text: insertLines(noiseLines(words), lines, positions).join("\n"),
    depth: Math.round((100 * (positions[0] ?? 0)) / whole),
  };
}

/** RULER's sentences. */
function wordingOf(text: string, value: string) {
  return {
    context: "Memorize and track the chain(s) of variable assignment hidden in the following " +
      `text.\n\n${text}`,
    question:
      `\nQuestion: Find all variables that are assigned the value ${value} in the text above.`,
    prefix: " Answer: According to the chain(s) of variable assignment in the text above, " +
      `${HOPS + 1} variables are assigned the value ${value}, they are: `,
  };
}
