import { readInput } from "../_read_input.ts";
import { inEverySetting } from "./_plan_generated.ts";
import { runCommand, runEval } from "./_run_command.ts";
import type { RunFlags } from "./_run_plan.ts";
import { atLeast } from "./_numbers.ts";

interface GenerationFlags extends RunFlags {
  readonly data?: string | undefined;
  readonly answerTokens: number;
}

/** `kvjudge eval generation`: long answers to short questions. */
export function generationCommand(version: string) {
  return runCommand(10)
    .description("Word problems with long answers: exact match of the last number.")
    .option("--data <file:string>", "Problems as GSM8K's JSONL; ten of ours if absent.")
    .option("--answer-tokens <count:integer>", "Most tokens of an answer.", { default: 256 })
    .example(
      "While the answer is written",
      "kvjudge eval generation --data gsm8k.jsonl --budgets 64 " +
        "--policies 'while_decoding(snapkv,every=16),while_decoding(judge_q,every=16)'",
    )
    .action((flags) => run(flags, version));
}

async function run(flags: GenerationFlags, version: string): Promise<void> {
  const { data, answerTokens, samples: count } = flags;
  atLeast("--answer-tokens", answerTokens, 1);
  const { readWordProblems, wordProblems } = await import(
    "../../evaluation/benchmarks/word_problems/word_problems.ts"
  );
  const text = data === undefined ? await ownProblems() : await readInput(data, "word problems");
  const options = { maxTokens: answerTokens, samples: count };
  const samples = readWordProblems(text, data ?? "kvjudge's own problems", options);
  await runEval(flags, {
    name: "generation",
    version,
    answerTokens,
    plan: async (model) => ({
      tasks: [wordProblems.name],
      metrics: { [wordProblems.name]: wordProblems.metricName },
      samples: await inEverySetting(
        [{ task: wordProblems, group: `${answerTokens} tokens of answer`, samples }],
        [{ order: "last", visible: true }],
        model,
      ),
      options: { data: data ?? "default", answer_tokens: answerTokens },
    }),
  });
}

async function ownProblems(): Promise<string> {
  const { default: problems } = await import(
    "../../evaluation/benchmarks/word_problems/own_problems.json",
    { with: { type: "json" } }
  );
  return problems.map((problem) => JSON.stringify(problem)).join("\n");
}
