import type { Api, Report, Usage } from "./api.ts";
import { budgetOf } from "./format.ts";
import type { PageDocument } from "./read_file.ts";

/** How a lane evicts. */
export interface LaneSettings {
  readonly policy: string;
  readonly budget: string;
}

/** A question and its answer in one lane, as far as it is. */
export interface Turn {
  readonly question: string;
  readonly answer: string;
  readonly state: "waiting" | "reading" | "writing" | "done" | "stopped" | "failed";
  /** Share of the prompt that is read. */
  readonly read?: number;
  readonly error?: string;
  readonly report?: Report;
  readonly usage?: Usage;
  /** Milliseconds from asking to the first text. */
  readonly firstMs?: number;
  readonly perSecond?: number;
}

/** What is asked. */
export interface Asked {
  readonly model: string;
  readonly settings: LaneSettings;
  readonly turns: readonly Turn[];
  readonly question: string;
  readonly document?: PageDocument;
  /** Read and compress the document by itself, once. */
  readonly once: boolean;
  readonly maxTokens: number;
  readonly signal: AbortSignal;
  readonly now: () => number;
}

/** Asks, and tells what has changed as it comes. */
export async function ask(api: Api, asked: Asked, update: (turn: Turn) => void): Promise<void> {
  const { question, signal, now } = asked;
  let turn: Turn = { question, answer: "", state: "waiting" };
  const change = (changes: Partial<Turn>) => update(turn = { ...turn, ...changes });
  change({});
  const start = now();
  try {
    const document = await storedDocument(api, asked, (read) => change({ state: "reading", read }));
    const parts = api.events("/v1/chat/completions", chatRequest(asked, document), signal);
    for await (const part of parts) {
      const progress = part.prompt_progress;
      if (progress && progress.total > 0 && turn.answer === "") {
        change({ state: "reading", read: progress.processed / progress.total });
      }
      const text = part.choices?.[0]?.delta?.content ?? "";
      if (text !== "") {
        const firstMs = turn.firstMs ?? now() - start;
        change({ state: "writing", answer: turn.answer + text, firstMs });
      }
      if (part.kvjudge) change({ report: part.kvjudge });
      if (part.timings) change({ perSecond: part.timings.predicted_per_second });
      if (part.usage) change({ usage: part.usage });
    }
    change({ state: "done" });
  } catch (error) {
    if (signal.aborted) change({ state: "stopped" });
    else change({ state: "failed", error: error instanceof Error ? error.message : String(error) });
  }
}

function evictionOf({ policy, budget }: LaneSettings): object | false {
  const name = policy.trim();
  return name === "" || name === "full" ? false : { policy: name, budget: budgetOf(budget) };
}

/** The id of the document, where it is to be read by itself. */
async function storedDocument(
  api: Api,
  { model, settings, document, once, signal }: Asked,
  onRead: (share: number) => void,
): Promise<string | undefined> {
  if (document?.id !== undefined) return document.id;
  if (!document || !once) return undefined;
  const body = {
    model,
    text: document.text,
    name: document.name,
    eviction: evictionOf(settings),
    stream: true,
  };
  let id: string | undefined;
  for await (const part of api.events("/v1/documents", body, signal)) {
    if (part.progress) onRead(part.progress.done / part.progress.total);
    if (part.id !== undefined && part.object === "document") id = part.id;
  }
  if (id === undefined) throw new Error("The server did not say where the document is");
  return id;
}

function chatRequest(
  { model, settings, turns, question, document, maxTokens }: Asked,
  stored: string | undefined,
): object {
  const said = turns.filter(({ state }) => state === "done" || state === "stopped");
  const questions = [...said.map((turn) => turn.question), question];
  const [first = "", ...others] = questions;
  const opening = document && stored === undefined ? `${document.text}\n\n${first}` : first;
  const messages = [opening, ...others].flatMap((content, index) => {
    const answer = said[index]?.answer;
    const asked = { role: "user", content };
    return answer === undefined ? [asked] : [asked, { role: "assistant", content: answer }];
  });
  return {
    model,
    messages,
    eviction: evictionOf(settings),
    ...(stored === undefined ? { explain: true } : { document: stored }),
    temperature: 0,
    max_tokens: maxTokens,
    stream: true,
    stream_options: { include_usage: true },
    return_progress: true,
  };
}
