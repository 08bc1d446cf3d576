import type { Model } from "../runtime/model.ts";
import { PromptError } from "../runtime/errors.ts";
import { answerCommand, type AnswerFlags, samplingOptions } from "./_answer_command.ts";
import { checkCache, readDocument } from "./_document.ts";
import { openModel } from "./_model_command.ts";
import { note, write } from "./_output.ts";
import { openProgress } from "./_progress.ts";
import { givenQuestion } from "./_prompt_command.ts";
import { reportError } from "./_report_error.ts";
import { meanKept } from "./_session_summary.ts";
import { readPolicy, readSettings } from "./_settings.ts";
import { Interrupted, type Subcommand } from "./_subcommand.ts";
import { type Conversation, converse, type Cut } from "./chat/conversation.ts";
import { type Interrupts, listenForInterrupts } from "./chat/interrupts.ts";
import { type Lines, openLines } from "./chat/lines.ts";
import { type ChatState, LEAVING, runSlashCommand } from "./chat/slash_commands.ts";

/** `kvjudge chat`: a conversation, with a document if there is one. */
export function chatCommand(): Subcommand {
  return answerCommand("kvjudge chat")
    .description("Talks, keeping the cache within its budget. /help lists what can be typed.")
    .example("About a document", "kvjudge chat -p snapkv -b 512 -f report.txt")
    .example("Go on with what was saved", "kvjudge chat --cache report.cache")
    .example("A script", "printf 'Who?\\nWhy?\\n' | kvjudge chat --cache report.cache")
    .action(async function (flags, question) {
      await chat(flags, givenQuestion(this, question));
    });
}

function checkUsable(flags: AnswerFlags, first: string | undefined): void {
  if (flags.raw || flags.idsFile !== undefined) {
    throw new PromptError(
      "Cannot chat with raw text or token ids: a chat needs messages; use kvjudge generate",
    );
  }
  if (flags.promptFile === "-" || first === "-") {
    throw new PromptError("Cannot read a document from standard input: a chat is typed there");
  }
}

async function chat(flags: AnswerFlags, first: string | undefined): Promise<void> {
  checkUsable(flags, first);
  const { checkGenerateOptions } = await import("../runtime/session/generate.ts");
  const sampling = samplingOptions(flags);
  checkGenerateOptions(sampling);
  const settings = await readSettings(flags);
  if (flags.cache !== undefined) await checkCache(flags.cache);
  const document = flags.promptFile === undefined ? undefined : await readDocument(flags);
  const terminal = Deno.stdin.isTerminal();
  using interrupts = listenForInterrupts();
  using progress = await openProgress();
  await using model = await starting(interrupts, (signal) => openModel(flags, progress, signal));
  checkTemplate(model);
  await using session = model.session(settings);
  const conversation = converse({
    session,
    sampling,
    system: flags.system,
    progress,
    onCut: (reason) => terminal && note(`\n${whyCut(reason, model)}`),
  });
  await starting(interrupts, async (signal) => {
    if (flags.cache !== undefined) await conversation.load(flags.cache);
    if (document) {
      await session.read(document, { signal, onProgress: progress.reading, inPieces: true });
    }
    progress.clear();
  });
  const state: ChatState = {
    conversation,
    policy: flags.policy,
    budget: settings.budget,
    readPolicy: (policy) => readPolicy({ policy, trust: flags.trust, reload: flags.reload }),
  };
  if (terminal) note(opening(conversation, flags));
  using lines = openLines(terminal);
  await talk(lines, first, state, { interrupts, terminal });
}

/** Work before the chat begins, which Ctrl-C ends. */
async function starting<T>(
  interrupts: Interrupts,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return await interrupts.run(async (signal) => {
    try {
      return await work(signal);
    } catch (error) {
      if (signal.aborted) throw new Interrupted("Stopped by Ctrl-C");
      throw error;
    }
  });
}

/** Answers line by line until there are no more. Mistakes are shown, and the chat goes on. */
async function talk(
  lines: Lines,
  first: string | undefined,
  state: ChatState,
  { interrupts, terminal }: { readonly interrupts: Interrupts; readonly terminal: boolean },
): Promise<void> {
  const noted = new Set<string>();
  let line = first ?? await lines.next("> ");
  for (; line !== undefined; line = await lines.next("> ")) {
    const text = line.trim();
    if (LEAVING.has(text)) return;
    if (text === "") continue;
    try {
      await interrupts.run((signal) => handle(text, state, signal));
    } catch (error) {
      tell(error);
    }
    for (const one of state.conversation.session.stats().notes) {
      if (terminal && !noted.has(one)) note(`note: ${one}`);
      noted.add(one);
    }
  }
}

async function handle(text: string, state: ChatState, signal: AbortSignal): Promise<void> {
  if (text.startsWith("/") && !text.startsWith("//")) {
    return write(`${await runSlashCommand(text, state)}\n`);
  }
  let answer = "";
  try {
    for await (const piece of state.conversation.say(text.replace(/^\/\//, "/"), signal)) {
      answer += piece;
      write(piece);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    note("stopped: the question was not read");
    return;
  }
  if (!answer.endsWith("\n")) write("\n");
}

/** Shows a mistake of the user; anything else ends the chat. */
function tell(error: unknown): void {
  const { text, exitCode } = reportError(error, "kvjudge chat", false);
  if (exitCode !== 2) throw error;
  note(text);
}

function checkTemplate({ tokenizer }: Model): void {
  if (tokenizer.hasChatTemplate) return;
  throw new PromptError(
    "Cannot chat: the checkpoint has no chat template; use kvjudge generate, which reads text as it " +
      "stands, or a model that was made for chats",
  );
}

function whyCut(reason: Cut, { config: { context } }: Model): string {
  switch (reason) {
    case "abort":
      return "(stopped)";
    case "length":
      return "(cut; --max-tokens allows longer answers)";
    case "context":
      return `(the context of ${context} tokens is full: /undo takes a turn back, /load goes on ` +
        "elsewhere)";
  }
}

function opening({ session }: Conversation, { model, policy, budget }: AnswerFlags): string {
  const stats = session.stats();
  const { tokens } = stats;
  const read = tokens === 0 ? "" : `; kept ${meanKept(stats)} of ${tokens} tokens`;
  return `${model}, policy ${policy}, budget ${budget}${read}. /help lists the commands.`;
}
