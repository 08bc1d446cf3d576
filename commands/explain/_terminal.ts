import { Chalk, type ColorSupportLevel, supportsColor } from "npm:chalk@6.0.1";
import { noColors } from "../_colors.ts";
import { countedHeads, type Explanation, votesOf } from "../_explanation.ts";
import { ALL, shade } from "./_choice.ts";
import type { Piece } from "./_pieces.ts";
import { type Run, wrap } from "./_wrap.ts";

/** How a terminal shows text. */
export interface TerminalSettings {
  readonly columns: number;
  /** 0 is none: marks stand in for colours. */
  readonly colors: ColorSupportLevel;
  /** Show all of a long text, also what no head keeps. */
  readonly whole: boolean;
}

/** Narrowest width that text is wrapped to. */
const NARROWEST = 20;

/** Settings of the terminal that the process writes to. */
export function terminalSettings(whole = false): TerminalSettings {
  const colors = noColors() || !supportsColor ? 0 : supportsColor.level;
  return { columns: Math.max(NARROWEST, columnsOf()), colors, whole };
}

function columnsOf(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    // Not every terminal tells, and a pipe has no width.
    return 80;
  }
}

/** Prompts of more tokens are folded where no head keeps anything. */
const LONG = 2000;
/** Tokens in a row that are worth folding, and those left to see at each end. */
const FOLDED = 48;
const EDGE = 12;

/**
 * The prompt's text with the kept tokens shaded, and a legend.
 *
 * @param explanation Of the heads that count.
 * @param pieces The prompt, cut by `pieces()`.
 */
export function shadedText(
  explanation: Explanation,
  pieces: readonly Piece[],
  settings: TerminalSettings,
): string {
  const heads = countedHeads(explanation);
  const runs = shadedRuns(explanation, pieces, heads);
  const folded = settings.whole || explanation.tokens <= LONG ? runs : fold(runs);
  const paint = painter(settings.colors);
  const marked = settings.colors === 0 ? mark(folded) : folded;
  const lines = wrap(marked, settings.columns).map((line) =>
    line.map(({ text, shade }) => paint(text, shade)).join("")
  );
  return [...lines, "", ...legend(heads, settings, paint), ""].join("\n");
}

interface ShadedRun extends Run {
  readonly tokens: number;
}

function shadedRuns(
  explanation: Explanation,
  pieces: readonly Piece[],
  heads: number,
): ShadedRun[] {
  const votes = votesOf(explanation);
  return pieces.map(({ from, count, text }) => ({
    text,
    tokens: count,
    shade: shade(Math.max(...votes.subarray(from, from + count)), heads),
  }));
}

/** Says how many tokens in a row nobody keeps instead of showing them all. */
function fold(runs: readonly ShadedRun[]): ShadedRun[] {
  const shown: ShadedRun[] = [];
  let evicted: ShadedRun[] = [];
  const showEvicted = () => {
    const hidden = evicted.slice(EDGE, -EDGE);
    const tokens = hidden.reduce((sum, run) => sum + run.tokens, 0);
    if (tokens < FOLDED) shown.push(...evicted);
    else {
      const text = ` … ${tokens} tokens that no head keeps … `;
      shown.push(...evicted.slice(0, EDGE), { text, tokens, shade: 0 }, ...evicted.slice(-EDGE));
    }
    evicted = [];
  };
  for (const run of runs) {
    if (run.shade === 0) {
      evicted.push(run);
      continue;
    }
    showEvicted();
    shown.push(run);
  }
  showEvicted();
  return shown;
}

/** Shades from which on a token counts as kept where there are no colours: more than half. */
const MARKED = 3;
const [OPEN, CLOSE] = ["⟦", "⟧"];

/** Puts what more than half of the heads keep in brackets. */
function mark(runs: readonly ShadedRun[]): Run[] {
  const isKept = (at: number) => (runs[at]?.shade ?? 0) >= MARKED;
  return runs.map(({ text, shade }, at) => {
    if (!isKept(at)) return { text, shade };
    const [body, end] = text.endsWith("\n") ? [text.slice(0, -1), "\n"] : [text, ""];
    const open = isKept(at - 1) ? "" : OPEN;
    return { text: `${open}${body}${isKept(at + 1) ? "" : CLOSE}${end}`, shade };
  });
}

type Paint = (text: string, shade: number) => string;

/** Brighter is kept by more heads; text and ground are both set, for light and dark terminals. */
const RAMP: readonly (readonly [ground: string, text: string])[] = [
  ["#46327e", "#ffffff"],
  ["#365c8d", "#ffffff"],
  ["#1f8f88", "#000000"],
  ["#56c667", "#000000"],
  ["#fde725", "#000000"],
];

function painter(level: ColorSupportLevel): Paint {
  const chalk = new Chalk({ level });
  const few = [chalk.bgMagenta, chalk.bgBlue, chalk.bgCyan, chalk.bgGreen, chalk.bgYellow];
  return (text, shade) => {
    if (shade === 0) return chalk.dim(text);
    const [ground, ink] = RAMP[shade - 1] ?? ["#000000", "#ffffff"];
    if (level > 1) return chalk.bgHex(ground).hex(ink)(text);
    return (few[shade - 1] ?? chalk).black(text);
  };
}

const SHARES = ["none", "to 25%", "to 50%", "to 75%", "over 75%", "all"];

function legend(heads: number, { colors, columns }: TerminalSettings, paint: Paint): string[] {
  if (colors === 0) {
    const who = heads === 1 ? "by the head" : `by more than half of the ${heads} heads`;
    return [`${OPEN}kept${CLOSE} ${who}`];
  }
  const names = heads === 1 ? ["evicted", "", "", "", "", "kept"] : SHARES;
  const lines = [heads === 1 ? "" : `heads that keep a token, of ${heads}: `];
  let used = lines[0]?.length ?? 0;
  for (let at = 0; at <= ALL; at++) {
    const name = names[at];
    if (!name) continue;
    if (used > 0 && used + name.length + 2 > columns) {
      lines.push("");
      used = 0;
    }
    lines[lines.length - 1] += paint(` ${name} `, at);
    used += name.length + 2;
  }
  return lines;
}
