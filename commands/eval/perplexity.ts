import { readHaystack } from "./_haystack.ts";
import { quickened, runCommand, runEval } from "./_run_command.ts";
import type { RunFlags } from "./_run_plan.ts";
import { wholeNumbers } from "./_numbers.ts";

interface PerplexityFlags extends RunFlags {
  readonly text?: string | undefined;
  readonly lengths: string;
  readonly quick?: boolean | undefined;
}

const DEFAULTS = { samples: 4, lengths: "1024,2048" };

/** A picture in five minutes. */
const QUICK = {
  samples: 2,
  lengths: "1024",
  policies: "streaming_llm,snapkv,judge_q",
  budgets: "64,256",
};

/** Tokens of what follows that the oracle judges by. */
const ANSWER_TOKENS = 128;

/** `kvjudge eval perplexity`: a text's second half, predicted from what is kept of the first. */
export function perplexityCommand(version: string) {
  return runCommand(DEFAULTS.samples)
    .description("Perplexity of a text's second half, with what is kept of the first.")
    .option("--text <file:string>", "The text; a story if absent.")
    .option("--lengths <list:string>", "Tokens of a window, both halves together.", {
      default: DEFAULTS.lengths,
    })
    .option("--quick", "One length, two windows, two budgets: a picture in five minutes.")
    .example("A table", "kvjudge eval perplexity --text book.txt --lengths 4096 --out results/book")
    .action((flags) => run(flags, version));
}

async function run(given: PerplexityFlags, version: string): Promise<void> {
  const flags = given.quick ? quickened(given, DEFAULTS, QUICK) : given;
  const lengths = wholeNumbers("--lengths", flags.lengths, 2);
  const text = await readHaystack(flags.text, "text");
  const { measurePerplexity, PERPLEXITY, textWindows } = await import(
    "../../evaluation/benchmarks/perplexity/measure.ts"
  );
  await runEval(flags, {
    name: "perplexity",
    version,
    answerTokens: ANSWER_TOKENS,
    plan: (model) => ({
      tasks: [PERPLEXITY],
      metrics: { [PERPLEXITY]: PERPLEXITY },
      samples: lengths.flatMap((tokens) =>
        textWindows({ text, tokens, samples: flags.samples }, model.tokenizer)
          .map((window) => ({
            id: window.id,
            measure: (measurement) => measurePerplexity(window, measurement),
            elsewhere: { work: { kind: "window", window } as const, judge: (record) => record },
          }))
      ),
      options: { lengths, text: flags.text ?? "default" },
    }),
  });
}
