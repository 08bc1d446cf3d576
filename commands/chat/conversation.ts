import { DEFAULT_MAX_TOKENS, type GenerateOptions } from "../../runtime/session/generate.ts";
import type { Session } from "../../runtime/session/session.ts";
import type { SessionMark } from "../../runtime/session/marks.ts";
import type { Progress } from "../_progress.ts";

/** Turns that can be taken back; an eviction may keep a copy of the cache for each. */
const UNDOABLE = 8;

/** A conversation with a model in one session. */
export interface Conversation {
  /** The session; its policy and budget may be changed between two turns. */
  readonly session: Session;
  /** Tells what the user says and gives the answer, piece by piece. */
  say(text: string, signal: AbortSignal): AsyncIterable<string>;
  /** Takes the last turn back; tells what the user had said, if there was one. */
  undo(): Promise<string | undefined>;
  /** Goes on from a saved cache. */
  load(path: string): Promise<void>;
}

/** What a conversation needs. */
export interface ConversationSetting {
  readonly session: Session;
  readonly sampling: GenerateOptions;
  /** System message, where no document brought it. */
  readonly system?: string | undefined;
  readonly progress: Progress;
  /** Called with why an answer ended, unless the model ended it. */
  readonly onCut: (reason: Cut) => void;
}

/** Why an answer is not whole: it has as many tokens as it may, there is no room, or it was stopped. */
export type Cut = "length" | "context" | "abort";

/** Begins a conversation, or goes on with what the session holds. */
export function converse(setting: ConversationSetting): Conversation {
  const { session, sampling, system, progress, onCut } = setting;
  const turns: { readonly mark: SessionMark; readonly text: string }[] = [];
  const messages = (text: string) => [
    ...(session.ids.length === 0 && system !== undefined
      ? [{ role: "system", content: system }]
      : []),
    { role: "user", content: text },
  ];
  const remember = (mark: SessionMark, text: string) => {
    turns.push({ mark, text });
    if (turns.length > UNDOABLE) turns.shift()?.mark[Symbol.dispose]();
  };
  return {
    session,
    async *say(text, signal) {
      const mark = await session.mark();
      try {
        await session.append({ messages: messages(text) }, {
          signal,
          onProgress: progress.reading,
        });
      } catch (error) {
        mark[Symbol.dispose]();
        throw error;
      } finally {
        progress.clear();
      }
      remember(mark, text);
      // The same seed in each turn would draw alike.
      const seed = (sampling.seed ?? 0) + turns.length;
      const answer = session.generate({ ...sampling, seed, signal });
      yield* answer;
      const { finishReason } = answer;
      if (finishReason === "abort") onCut("abort");
      if (finishReason !== "length") return;
      onCut(answer.ids.length < (sampling.maxTokens ?? DEFAULT_MAX_TOKENS) ? "context" : "length");
    },
    async undo() {
      const turn = turns.pop();
      if (!turn) return undefined;
      await session.rollback(turn.mark);
      turn.mark[Symbol.dispose]();
      return turn.text;
    },
    async load(path) {
      await session.load(path);
      turns.length = 0;
    },
  };
}
