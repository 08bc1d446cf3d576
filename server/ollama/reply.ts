import { createChoice, type ShownCall } from "../openai/chat/choice.ts";
import { reportOf } from "../openai/report.ts";
import type { DoneEvent, GenerationEvent } from "../scheduler/events.ts";

/** What all parts of a reply have. */
export interface OllamaHead {
  readonly model: string;
  readonly created_at: string;
}

/** How text and calls are shown, which differs between chats and prompts. */
export type ShowPart = (text: string, calls: readonly ShownCall[]) => object;

/** A message of a chat. */
export const chatPart: ShowPart = (content, calls) => ({
  message: {
    role: "assistant",
    content,
    ...(calls.length > 0
      ? {
        tool_calls: calls.map(({ function: { name, arguments: given } }) => ({
          function: { name, arguments: parsed(given) },
        })),
      }
      : {}),
  },
});

/** The answer to a prompt. */
export const promptPart: ShowPart = (response) => ({ response });

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** What is new in an answer; the last part says how it went. */
interface Part {
  readonly text: string;
  readonly calls: readonly ShownCall[];
  readonly end?: object;
}

async function* partsOf(
  events: AsyncIterable<GenerationEvent>,
  { tools, newId }: OllamaOptions,
): AsyncGenerator<Part, void> {
  const choice = createChoice(tools, newId);
  let reason: "stop" | "length" = "stop";
  for await (const event of events) {
    if (event.kind === "token" || event.kind === "end") {
      // Its arguments are an object, not text: a call is shown when it is whole.
      const { content: text, whole: calls } = event.kind === "token"
        ? choice.push(event.text)
        : choice.end(event.text);
      if (text !== "" || calls.length > 0) yield { text, calls };
      if (event.kind === "end") reason = event.finishReason;
    } else if (event.kind === "done") {
      yield { text: "", calls: [], end: { done: true, done_reason: reason, ...counts(event) } };
    }
  }
}

/** How a reply is made. */
export interface OllamaOptions {
  readonly show: ShowPart;
  /** Whether calls of tools are looked for in the answer. */
  readonly tools: boolean;
  readonly newId: () => string;
}

/** A reply in parts, a line of JSON each. */
export async function* ollamaStream(
  head: OllamaHead,
  events: AsyncIterable<GenerationEvent>,
  options: OllamaOptions,
): AsyncGenerator<string, void> {
  for await (const { text, calls, end = { done: false } } of partsOf(events, options)) {
    yield `${JSON.stringify({ ...head, ...options.show(text, calls), ...end })}\n`;
  }
}

/** A whole reply. */
export async function ollamaReply(
  head: OllamaHead,
  events: AsyncIterable<GenerationEvent>,
  options: OllamaOptions,
): Promise<object> {
  let answer = "";
  const called: ShownCall[] = [];
  for await (const { text, calls, end } of partsOf(events, options)) {
    answer += text;
    called.push(...calls);
    if (end) return { ...head, ...options.show(answer, called), ...end };
  }
  throw new Error("the scheduler ended a request without saying so");
}

const NANOSECONDS = 1e6;

function counts(done: DoneEvent) {
  const { times } = done.kvjudge;
  const { promptMs, predictedMs } = done.timings;
  const whole = times.queue + promptMs + predictedMs;
  return {
    total_duration: Math.round(whole * NANOSECONDS),
    load_duration: 0,
    prompt_eval_count: done.usage.promptTokens,
    prompt_eval_duration: Math.round(promptMs * NANOSECONDS),
    eval_count: done.usage.completionTokens,
    eval_duration: Math.round(predictedMs * NANOSECONDS),
    kvjudge: reportOf(done).kvjudge,
  };
}
