import { LOCAL_TOKENS } from "../../evaluation/critical_hits.ts";
import type { HitRateReport, PromptRow } from "../../evaluation/hit_rate.ts";
import { type BrokenLine, type PromptSet, readPromptSet } from "../../evaluation/prompt_set.ts";
import type { Estimate } from "../../evaluation/statistics.ts";
import { checkFolder } from "../_check_target.ts";
import { defined } from "../_defined.ts";
import { withModel } from "../_model_command.ts";
import { note, write } from "../_output.ts";
import { readInput } from "../_read_input.ts";
import {
  type EvalFlags,
  measurementCommand,
  readEvalSettings,
  recordHead,
} from "./_eval_command.ts";
import { table } from "../_table.ts";
import { percent, percents } from "./_percent.ts";
import { atLeast } from "./_numbers.ts";

interface HitRateFlags extends EvalFlags {
  readonly prompts: string;
  readonly responseTokens: number;
  readonly limit?: number | undefined;
  readonly perPrompt?: boolean | undefined;
  readonly out?: string | undefined;
}

/** Broken lines that are named one by one. */
const NAMED = 5;

/** `kvjudge eval hit_rate`: how much of what the answer attends to is kept. */
export function hitRateCommand(version: string) {
  return measurementCommand("random,h2o,snapkv,judge_q,oracle")
    .description("Measures which share of the tokens that the answer attends to policies keep.")
    .option(
      "-f, --prompts <file:string>",
      'JSONL with "messages", "prompt" or "ids" in each line, - for standard input.',
      { required: true },
    )
    .option(
      "--response-tokens <count:integer>",
      "Most tokens of the answer that is compared with.",
      {
        default: 64,
      },
    )
    .option("--limit <count:integer>", "Use the first prompts only.")
    .option("--out <folder:string>", "Folder for figures.json, report.md, report.html and figures.")
    .option("--per-prompt", "Add the figures of every prompt.", { depends: ["json"] })
    .example(
      "Like with like",
      "kvjudge eval hit_rate -f prompts.jsonl -p 'snapkv(kernel=1),judge_q(kernel=1),oracle' -b 128",
    )
    .action((flags) => run(flags, version));
}

async function run(flags: HitRateFlags, version: string): Promise<void> {
  const { responseTokens, limit, seed, chunk, json = false, perPrompt = false } = flags;
  atLeast("--response-tokens", responseTokens, 1);
  atLeast("--limit", limit, 1);
  if (flags.out !== undefined) await checkFolder(flags.out);
  const settings = await readEvalSettings(flags, responseTokens);
  const place = flags.prompts === "-" ? "standard input" : flags.prompts;
  const set = readPromptSet(await readInput(flags.prompts, "prompts"), place);
  const prompts = set.prompts.slice(0, limit);
  const { measureHitRates } = await import("../../evaluation/hit_rate.ts");
  await withModel(flags, async ({ model, progress, signal }) => {
    const report = await measureHitRates({
      ...settings,
      ...defined({ chunk }),
      model,
      prompts,
      responseTokens,
      seed,
      signal,
      onProgress: (done, total) => progress.counting("prompts", done, total),
    });
    progress.clear();
    for (const line of warnings(set.broken, report.skipped)) note(line);
    const head = await recordHead(version, model, settings, {
      prompts: place,
      response_tokens: responseTokens,
      limit: limit ?? null,
      seed,
      local_tokens: LOCAL_TOKENS,
    });
    const figures = { ...head, ...record(set, report, perPrompt || flags.out !== undefined) };
    write(json ? `${JSON.stringify(figures)}\n` : show(report));
    if (flags.out !== undefined) {
      const { writeHitRateReport } = await import("../../evaluation/report/hit_rate.ts");
      const title = `Hit rate on ${model.name}`;
      const files = await writeHitRateReport(flags.out, { title, figures, report });
      note(`written: ${files.join(", ")}`);
    }
  });
}

function warnings(
  broken: readonly BrokenLine[],
  skipped: readonly BrokenLine[],
): readonly string[] {
  const lines = [...broken, ...skipped].sort((a, b) => a.line - b.line);
  if (lines.length === 0) return [];
  const rest = lines.length - NAMED;
  return [
    `warning: ${lines.length} lines were skipped`,
    ...lines.slice(0, NAMED).map(({ line, reason }) => `  line ${line}: ${reason}`),
    ...rest > 0 ? [`  and ${rest} more`] : [],
  ];
}

function show({ rows, results, localShares }: HitRateReport): string {
  const counts = rows.map(({ tokens }) => tokens);
  const left = results.filter(({ leftOut }) => leftOut > 0);
  return [
    `${rows.length} prompts of ${Math.min(...counts)} to ${
      Math.max(...counts)
    } tokens; in percent, ` +
    "with 95 % intervals over the prompts",
    "",
    table([
      ["policy", "budget", "hit rate", "interval", "attention mass", "interval", "prompts"],
      ...results.map(({ policy, budget, hitRate, attentionMass }) => [
        policy,
        budget,
        percent(hitRate.mean),
        percents(hitRate.interval),
        percent(attentionMass.mean),
        percents(attentionMass.interval),
        String(hitRate.n),
      ]),
    ]),
    table([
      [`attention in the last ${LOCAL_TOKENS} tokens`, "share", "interval"],
      ...localShares.map(({ policy, share }) => [
        policy === "response" ? "response (the answer itself)" : policy,
        percent(share.mean),
        percents(share.interval),
      ]),
    ]),
    ...left.length > 0
      ? [
        "Prompts that a budget covers, or that a policy keeps more of, are left out of its means.\n",
      ]
      : [],
  ].join("\n");
}

function record({ prompts, broken }: PromptSet, report: HitRateReport, perPrompt: boolean): object {
  const { layers, rows, skipped, results, localShares } = report;
  return {
    layers,
    prompts: { usable: prompts.length, used: rows.length, broken, skipped },
    results: results.map(({ policy, budget, hitRate, attentionMass, byHead, leftOut }) => ({
      policy,
      budget,
      ...figures("hit_rate", hitRate),
      ...figures("attention_mass", attentionMass),
      by_head: byHead,
      n: hitRate.n,
      left_out: leftOut,
    })),
    local_share: localShares.map(({ policy, share }) => ({ policy, ...figures("share", share) })),
    ...perPrompt ? { per_prompt: rows.map(rowRecord) } : {},
  };
}

function figures(name: string, { mean, interval }: Estimate): object {
  return { [name]: mean, [`${name}_interval`]: interval };
}

function rowRecord({ line, tokens, answerTokens, hits, localShares }: PromptRow): object {
  return {
    line,
    tokens,
    answer_tokens: answerTokens,
    results: hits.map(({ policy, budget, hitRate, attentionMass }) => ({
      policy,
      budget,
      hit_rate: hitRate,
      attention_mass: attentionMass,
    })),
    local_share: localShares,
  };
}
