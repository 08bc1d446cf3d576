import type { GenerateOptions, Generation } from "../runtime/generate.ts";
import type { SessionStats } from "../runtime/session/stats.ts";
import { defined } from "./_defined.ts";
import { interruptible } from "./_interrupt.ts";
import { type ModelFlags, openModel } from "./_open_model.ts";
import { formatBytes, note, write } from "./_output.ts";
import { openProgress } from "./_progress.ts";
import { type PromptFlags, readPrompt } from "./_prompt.ts";
import { givenQuestion, promptCommand } from "./_prompt_command.ts";
import { type EvictionFlags, readSettings } from "./_settings.ts";
import type { Subcommand } from "./_subcommand.ts";

interface SamplingFlags {
  readonly maxTokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly topK?: number | undefined;
  readonly topP?: number | undefined;
  readonly minP?: number | undefined;
  readonly repetitionPenalty?: number | undefined;
  readonly seed?: number | undefined;
  readonly stop?: string[] | undefined;
}

interface GenerateFlags extends ModelFlags, PromptFlags, EvictionFlags, SamplingFlags {
  readonly json?: boolean | undefined;
}

/** `kvjudge generate`: answers a question about a long prompt. */
export function generateCommand(): Subcommand {
  return promptCommand("kvjudge generate")
    .description("Reads a prompt, evicts its KV cache and answers, as the text is made.")
    .option("-n, --max-tokens <count:integer>", "Most tokens of the answer.")
    .option("--temperature <value:number>", "0 takes the likeliest token, 1 samples as it is.")
    .option("--top-k <count:integer>", "Sample from the likeliest tokens only.")
    .option("--top-p <share:number>", "Sample from the likeliest tokens of this probability.")
    .option("--min-p <share:number>", "Leave out tokens this much less likely than the best.")
    .option("--repetition-penalty <factor:number>", "Above 1, seen tokens become less likely.")
    .option("--seed <seed:integer>", "Same seed, same answer.")
    .option("--stop <text:string>", "Text that ends the answer; may be repeated.", {
      collect: true,
    })
    .option("--json", "Print one JSON object: ids, text, finish_reason, stats.")
    .example("A question", 'kvjudge generate "What is the capital of France?"')
    .example(
      "About a document",
      'kvjudge generate -p snapkv -b 256 -f report.txt "What did the auditors object to?"',
    )
    .action(async function (flags, question) {
      await generate(flags, givenQuestion(this, question));
    });
}

async function generate(flags: GenerateFlags, question: string | undefined): Promise<void> {
  const { checkGenerateOptions } = await import("../runtime/generate.ts");
  const sampling = samplingOptions(flags);
  checkGenerateOptions(sampling);
  const settings = await readSettings(flags);
  const prompt = await readPrompt(flags, question, Deno.stdin.isTerminal());
  await interruptible(async (signal) => {
    using progress = await openProgress();
    await using model = await openModel(flags, progress, signal);
    await using session = model.session(settings);
    const onProgress = progress.reading;
    const answer = session.generate(prompt, { ...sampling, signal, onProgress });
    for await (const text of answer) {
      progress.clear();
      if (!flags.json) write(text);
    }
    progress.clear();
    if (flags.json) write(`${JSON.stringify(record(answer, session.stats()))}\n`);
    else if (answer.text !== "" && !answer.text.endsWith("\n")) write("\n");
    if (!flags.json && Deno.stderr.isTerminal()) note(summary(session.stats()));
  });
}

function samplingOptions(flags: SamplingFlags): GenerateOptions {
  const { maxTokens, temperature, topK, topP, minP, repetitionPenalty, seed, stop } = flags;
  return defined({ maxTokens, temperature, topK, topP, minP, repetitionPenalty, seed, stop });
}

function record(answer: Generation, stats: SessionStats): object {
  const { promptTokens, ...others } = stats;
  return {
    ids: answer.ids,
    text: answer.text,
    finish_reason: answer.finishReason,
    stats: { ...others, prompt_tokens: promptTokens },
  };
}

function summary({ kept, promptTokens, bytes, times, steps, notes }: SessionStats): string {
  const counts = kept.flat();
  const mean = counts.reduce((sum, count) => sum + count, 0) / Math.max(1, counts.length);
  const evict = times.evidence + times.selection + times.compaction;
  const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(2)} s`;
  const lines = [
    `kept ${Math.round(mean)} of ${promptTokens} tokens, cache ${formatBytes(bytes.before)} to ` +
    `${formatBytes(bytes.after)}; read ${seconds(times.prefill)}, evict ${seconds(evict)}, ` +
    `decode ${seconds(times.decode)} (${steps} steps)`,
    ...notes.map((text) => `note: ${text}`),
  ];
  return `\n${lines.join("\n")}`;
}
