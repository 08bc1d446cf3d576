import { checkTarget } from "./_check_target.ts";
import { forcesColors } from "./_colors.ts";
import { explain, showExplanation, summary } from "./_explanation.ts";
import { type ModelFlags, withModel } from "./_model_command.ts";
import { formatBytes, write } from "./_output.ts";
import { readablePrompt } from "./_plain_prompt.ts";
import { type PromptFlags, readPrompt } from "./_prompt.ts";
import { givenQuestion, promptCommand } from "./_prompt_command.ts";
import { type EvictionFlags, readSettings } from "./_settings.ts";
import type { Subcommand } from "./_subcommand.ts";
import { checkChoice, chosen, type HeadChoice, nameChoice } from "./explain/_choice.ts";

interface ExplainFlags extends ModelFlags, PromptFlags, EvictionFlags, HeadChoice {
  readonly html?: string | undefined;
  readonly whole?: boolean | undefined;
  readonly json?: boolean | undefined;
  readonly scores?: boolean | undefined;
  readonly logits?: boolean | undefined;
}

/** `kvjudge explain`: which tokens a policy keeps. */
export function explainCommand(): Subcommand {
  return promptCommand("kvjudge explain")
    .description(
      "Reads a prompt and shows which tokens a policy keeps, in each layer and head. On a terminal " +
        "it shows the text, shaded by the share of heads that keep a token.",
    )
    .option("--layer <layer:integer>", "Only this layer, from 0.", { conflicts: ["json"] })
    .option("--head <head:integer>", "Only this KV head, from 0.", { conflicts: ["json"] })
    .option("--whole", "Show a long text whole, also where no head keeps anything.", {
      conflicts: ["json", "html"],
    })
    .option("--html <file:string>", "Write one page to open in a browser.", { conflicts: ["json"] })
    .option("--json", "Print one JSON object with the kept positions of every head.")
    .option("--scores", "Add the policy's score of each token.", { depends: ["json"] })
    .option("--logits", "Add the logits of the last prompt token.", { depends: ["json"] })
    .example(
      "A page with the text and a picture of every head",
      "kvjudge explain -p snapkv -b 256 -f report.txt --html report.html",
    )
    .example("Against another implementation", "kvjudge explain --json --ids-file ids.json -p h2o")
    .action(async function (flags, question) {
      await run(flags, givenQuestion(this, question));
    });
}

async function run(flags: ExplainFlags, question: string | undefined): Promise<void> {
  const { scores = false, logits = false, json = false, html } = flags;
  const settings = await readSettings(flags);
  const given = await readPrompt(flags, question, Deno.stdin.isTerminal());
  if (html !== undefined) await checkTarget(html);
  const page = html === undefined ? undefined : await import("./explain/page/write.ts");
  await withModel(flags, async ({ model, progress, signal }) => {
    const { promptIds } = await import("../runtime/tokenizer/prompt.ts");
    checkChoice(flags, model.config);
    await using session = model.session(settings);
    const ids = promptIds(readablePrompt(given, model), model.tokenizer);
    const reading = await session.read(
      { ids },
      { scores: scores || page !== undefined, signal, onProgress: progress.reading },
    );
    progress.clear();
    const explanation = explain({
      ...settings,
      model: model.name,
      engine: model.engine,
      reading,
      scores,
      logits,
    });
    if (json) return write(`${JSON.stringify(explanation)}\n`);
    const { tokenizer } = model;
    const view = chosen(explanation, flags);
    const lines = [...nameChoice(flags), ...summary(view)];
    if (html !== undefined && page !== undefined) {
      const { scores } = reading;
      const bytes = await page.writePage(html, {
        explanation,
        choice: flags,
        ids,
        tokenizer,
        scores,
      });
      const wrote = `Wrote ${html} (${formatBytes(bytes)}): open it in a browser.`;
      return write([...lines, wrote, ""].join("\n"));
    }
    if (Deno.stdout.isTerminal() || forcesColors()) {
      const { terminalSettings, shadedText } = await import("./explain/_terminal.ts");
      const { pieces } = await import("./explain/_pieces.ts");
      const text = shadedText(view, pieces(ids, tokenizer), terminalSettings(flags.whole));
      return write([text, ...lines, ""].join("\n"));
    }
    const textOf = (at: number) => JSON.stringify(tokenizer.decode(ids.slice(at, at + 1)));
    write([...nameChoice(flags), showExplanation(view, textOf)].join("\n"));
  });
}
