import { PromptError } from "../runtime/errors.ts";
import type { Model } from "../runtime/model.ts";
import type { ConstraintSpec } from "../runtime/sampling/constraint.ts";
import { isSchema } from "../runtime/sampling/schema/keywords.ts";
import type {
  GenerateOptions,
  Generation,
  ReadOptions,
  SavedCacheInfo,
  Session,
  SessionStats,
} from "../runtime/session/mod.ts";
import { answerCommand, type AnswerFlags, samplingOptions } from "./_answer_command.ts";
import { checkCache, checkSaving, questionBelow, readDocument } from "./_document.ts";
import { withModel } from "./_model_command.ts";
import { formatBytes, note, write } from "./_output.ts";
import { readablePrompt } from "./_plain_prompt.ts";
import { readPrompt } from "./_prompt.ts";
import { givenQuestion } from "./_prompt_command.ts";
import { parseJson, readInput } from "./_read_input.ts";
import { meanKept, summary } from "./_session_summary.ts";
import { readSettings } from "./_settings.ts";
import type { Subcommand } from "./_subcommand.ts";

interface GenerateFlags extends AnswerFlags {
  readonly saveCache?: string | undefined;
  readonly inPieces?: boolean | undefined;
  readonly json?: boolean | undefined;
  readonly jsonSchema?: string | undefined;
}

/** `kvjudge generate`: answers a question about a long prompt. */
export function generateCommand(): Subcommand {
  return answerCommand("kvjudge generate")
    .description("Reads a prompt, evicts its KV cache and answers, as the text is made.")
    .option("--save-cache <file:string>", "Save what is kept of the document, for --cache.", {
      conflicts: ["cache"],
    })
    .option(
      "--in-pieces",
      "Read what is longer than the model's context in pieces, evicting behind each.",
      { conflicts: ["cache"] },
    )
    .option("--json-schema <file:string>", "Answer in JSON that a JSON schema allows.")
    .option("--json", "Print one JSON object: ids, text, finish_reason, device, stats.")
    .example("A question", 'kvjudge generate "What is the capital of France?"')
    .example(
      "About a document",
      'kvjudge generate -p snapkv -b 256 -f report.txt "What did the auditors object to?"',
    )
    .example(
      "As JSON",
      'kvjudge generate --json-schema person.json -f letter.txt "Who wrote this?"',
    )
    .example(
      "Read it once",
      "kvjudge generate -p keydiff -f report.txt --save-cache report.cache",
    )
    .example("Ask it often", 'kvjudge generate --cache report.cache "Who signed it?"')
    .example(
      "A book that is longer than the context",
      'kvjudge generate -p snapkv -b 512 --in-pieces -f book.txt "Who did it?"',
    )
    .action(async function (flags, question) {
      await generate(flags, givenQuestion(this, question));
    });
}

type Options = GenerateOptions & ReadOptions;

/** What is to be done in a session, settled before a model is loaded for it. */
type Plan = (session: Session, options: Options, model: Model) => Promise<{
  readonly answer?: Generation;
  readonly saved?: SavedCacheInfo;
}>;

async function generate(flags: GenerateFlags, question: string | undefined): Promise<void> {
  const { checkGenerateOptions, DEFAULT_MAX_TOKENS } = await import(
    "../runtime/session/generate.ts"
  );
  const sampling = samplingOptions(flags);
  const { maxTokens = DEFAULT_MAX_TOKENS } = sampling;
  checkGenerateOptions(sampling);
  const settings = await readSettings(flags);
  const schema = await readSchema(flags.jsonSchema);
  const plan = await planOf(flags, question);
  await withModel(flags, async ({ model, progress, signal }) => {
    await using session = model.session(settings);
    const { answer, saved } = await plan(session, {
      ...sampling,
      ...(schema === undefined ? {} : { constraint: model.constraint(schema) }),
      signal,
      inPieces: flags.inPieces === true,
      onProgress: progress.reading,
    }, model);
    progress.clear();
    if (saved && Deno.stderr.isTerminal()) note(summaryOf(saved));
    for await (const text of answer ?? []) {
      progress.clear();
      if (!flags.json) write(text);
    }
    progress.clear();
    if (flags.json) write(`${JSON.stringify(record(model, answer, session.stats(), saved))}\n`);
    else if (answer && answer.text !== "" && !answer.text.endsWith("\n")) write("\n");
    if (!flags.json && Deno.stderr.isTerminal()) note(`\n${summary(session.stats())}`);
    else if (answer?.finishReason === "length" && answer.ids.length < maxTokens) {
      note(
        `note: the answer ended after ${answer.ids.length} tokens: the model's context was full`,
      );
    }
  });
}

/**
 * A JSON schema as what the answer is to be; refused before a model is loaded for it.
 *
 * @throws {ConstraintError} If it cannot be enforced.
 */
async function readSchema(path: string | undefined): Promise<ConstraintSpec | undefined> {
  if (path === undefined) return undefined;
  const what = "--json-schema must hold a JSON schema, an object";
  const schema = parseJson(await readInput(path, "the schema"), what);
  if (!isSchema(schema)) throw new PromptError(`${what}, it holds something else`);
  const { constraintGrammar } = await import("../runtime/sampling/grammar/constraint_grammar.ts");
  const spec = { kind: "json_schema", schema } as const;
  constraintGrammar(spec);
  return spec;
}

async function planOf(flags: GenerateFlags, question: string | undefined): Promise<Plan> {
  const { cache, saveCache } = flags;
  const terminal = Deno.stdin.isTerminal();
  if (cache !== undefined) {
    const asked = await questionAlone(question, terminal);
    await checkCache(cache);
    return async (session, options) => {
      const { record: { told } } = await session.load(cache);
      if (asked === undefined) return { answer: session.generate(options) };
      const text = told.kind === "raw" ? questionBelow(asked) : asked;
      return { answer: session.ask(text, options) };
    };
  }
  if (saveCache !== undefined) {
    await checkSaving(saveCache, flags);
    if (question === "-" && flags.promptFile === "-") {
      throw new PromptError(
        "Cannot read both the document and the question from standard input: give one in another way",
      );
    }
    const given = await readDocument(flags);
    const asked = question === undefined ? undefined : await questionAlone(question, terminal);
    return async (session, options, model) => {
      const document = readablePrompt(given, model);
      await session.read(document, options);
      const saved = await session.save(saveCache);
      if (asked === undefined) return { saved };
      const text = "document" in document ? asked : questionBelow(asked);
      return { saved, answer: session.ask(text, options) };
    };
  }
  const prompt = await readPrompt(flags, question, terminal);
  return (session, options, model) =>
    Promise.resolve({ answer: session.generate(readablePrompt(prompt, model), options) });
}

/** The question, from standard input if it is `-` or if it is not given and something is piped. */
async function questionAlone(
  question: string | undefined,
  terminal: boolean,
): Promise<string | undefined> {
  const piped = question === "-" || (question === undefined && !terminal);
  const text = piped ? (await readInput("-", "the question")).trim() : question;
  if (text === "" && question === undefined) return undefined;
  if (text?.trim() === "") {
    throw new PromptError("Cannot ask an empty question: give one, or none to go on with a text");
  }
  return text;
}

function record(
  { device: { provider } }: Model,
  answer: Generation | undefined,
  stats: SessionStats,
  saved: SavedCacheInfo | undefined,
): object {
  const { promptTokens, readEvictions, decodeEvictions, ...others } = stats;
  return {
    ...(answer ? { ids: answer.ids, text: answer.text, finish_reason: answer.finishReason } : {}),
    ...(saved ? { cache: { path: saved.path, bytes: saved.bytes, tokens: saved.tokens } } : {}),
    device: provider,
    stats: {
      ...others,
      read_evictions: readEvictions,
      decode_evictions: decodeEvictions,
      prompt_tokens: promptTokens,
    },
  };
}

function summaryOf({ path, bytes, tokens, kept, record }: SavedCacheInfo): string {
  return `saved ${path}: ${meanKept({ ...record, kept })} of ${tokens} tokens, ${
    formatBytes(bytes)
  }`;
}
