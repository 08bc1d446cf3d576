import type { TrainingPrompt } from "../prompts.ts";
import {
  type ExampleRequest,
  type ReadExample,
  readExample,
  type RestoringExample,
} from "./example.ts";

/** Bytes of prompts that are kept for later visits: some forty of 500 tokens of a small model. */
export const DEFAULT_ROOM = 2 ** 30;

/** How prompts are read and kept. */
export interface PromptsRequest extends ExampleRequest {
  /** Soft tokens, which count towards what stays. */
  readonly tokens: number;
  /** Bytes of prompts that are kept for later visits. */
  readonly room: number;
}

/** One visit of a prompt. */
export interface Visit {
  /** Share of the prompt that stays, soft tokens included. */
  readonly ratio: number;
  /** Whether it is visited again: what was read is then kept, where there is room. */
  readonly again: boolean;
}

/** The prompts of a training, each read at its first visit; again only where memory did not hold it. */
export interface ReadPrompts extends Disposable {
  /**
   * Works with a prompt.
   *
   * @returns `undefined` where it is too short to drop anything.
   */
  visit<T>(
    prompt: TrainingPrompt,
    visit: Visit,
    work: (example: RestoringExample) => Promise<T>,
  ): Promise<T | undefined>;
}

/** Opens the prompts of a training. Those that fit are kept until their last visit, the first ones first. */
export function openPrompts({ tokens, room, ...request }: PromptsRequest): ReadPrompts {
  const kept = new Map<TrainingPrompt, ReadExample>();
  let held = 0;
  const free = (prompt: TrainingPrompt, read: ReadExample) => {
    kept.delete(prompt);
    held -= read.bytes;
    read[Symbol.dispose]();
  };
  return {
    async visit(prompt, { ratio, again }, work) {
      const keep = Math.floor(prompt.ids.length * ratio) - tokens;
      if (keep < 1) return undefined;
      const known = kept.get(prompt);
      const read = known ?? await readExample(prompt, request);
      if (!known) {
        kept.set(prompt, read);
        held += read.bytes;
      }
      try {
        return await work(await read.keeping(keep));
      } finally {
        if (!again || held > room) free(prompt, read);
      }
    },
    [Symbol.dispose]() {
      for (const [prompt, read] of [...kept]) free(prompt, read);
    },
  };
}
