import { explain, showExplanation } from "./_explanation.ts";
import { interruptible } from "./_interrupt.ts";
import { type ModelFlags, openModel } from "./_open_model.ts";
import { write } from "./_output.ts";
import { openProgress } from "./_progress.ts";
import { type PromptFlags, readPrompt } from "./_prompt.ts";
import { givenQuestion, promptCommand } from "./_prompt_command.ts";
import { type EvictionFlags, readSettings } from "./_settings.ts";
import type { Subcommand } from "./_subcommand.ts";

interface ExplainFlags extends ModelFlags, PromptFlags, EvictionFlags {
  readonly json?: boolean | undefined;
  readonly scores?: boolean | undefined;
  readonly logits?: boolean | undefined;
}

/** `kvjudge explain`: which tokens a policy keeps. */
export function explainCommand(): Subcommand {
  return promptCommand("kvjudge explain")
    .description("Reads a prompt and shows which tokens a policy keeps, in each layer and head.")
    .option("--json", "Print one JSON object with the kept positions of every head.")
    .option("--scores", "Add the policy's score of each token.", { depends: ["json"] })
    .option("--logits", "Add the logits of the last prompt token.", { depends: ["json"] })
    .example("Against another implementation", "kvjudge explain --json --ids-file ids.json -p h2o")
    .action(async function (flags, question) {
      await run(flags, givenQuestion(this, question));
    });
}

async function run(flags: ExplainFlags, question: string | undefined): Promise<void> {
  const { scores = false, logits = false, json = false } = flags;
  const settings = await readSettings(flags);
  const prompt = await readPrompt(flags, question, Deno.stdin.isTerminal());
  await interruptible(async (signal) => {
    const { promptIds } = await import("../runtime/prompt.ts");
    using progress = await openProgress();
    await using model = await openModel(flags, progress, signal);
    await using session = model.session(settings);
    const ids = promptIds(prompt, model.tokenizer);
    const reading = await session.read({ ids }, { scores, signal, onProgress: progress.reading });
    progress.clear();
    const explanation = explain({
      ...settings,
      model: model.name,
      config: model.config,
      reading,
      scores,
      logits,
    });
    const textOf = (at: number) => JSON.stringify(model.tokenizer.decode(ids.slice(at, at + 1)));
    write(json ? `${JSON.stringify(explanation)}\n` : showExplanation(explanation, textOf));
  });
}
