import type { Constraint } from "../../runtime/sampling/constraint.ts";
import { pause } from "../../runtime/engine/pause.ts";
import { createSampler } from "../../runtime/sampling/sampler.ts";
import type { GenerationSource } from "../../runtime/session/generate.ts";
import type { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";
import { adjustLogits } from "./adjust_logits.ts";
import { createAnswerText, type TextProgress } from "./answer_text.ts";
import type { GenerationEvent, ScoredToken } from "./events.ts";
import { logprobsOf } from "./logprobs.ts";
import type { GenerationRequest } from "./request.ts";
import { tokenOf } from "./token_of.ts";

/** What {@linkcode writeAnswer} works with. */
export interface AnswerRequest {
  readonly request: GenerationRequest;
  /** Which answer, from 0. */
  readonly choice: number;
  readonly source: GenerationSource;
  readonly tokenizer: Tokenizer;
  /** What it may be; it is used up. */
  readonly constraint?: Constraint | undefined;
  readonly signal: AbortSignal;
  readonly onEvent: (event: GenerationEvent) => void;
}

/**
 * Draws the tokens of one answer.
 *
 * @returns Tokens that were drawn, the one that ended the answer too.
 */
export async function writeAnswer(
  { request, choice, source, tokenizer, constraint, signal, onEvent }: AnswerRequest,
): Promise<number> {
  const { sampling, stop = [], maxTokens = Infinity, logprobs } = request;
  const start = await source.begin();
  const { endIds } = start;
  const sampler = createSampler({ ...sampling, seed: sampling.seed + choice });
  const text = createAnswerText<ScoredToken>(start.stream, stop);
  const seen = new Set(start.seen);
  const counts = new Map<number, number>();
  const give = ({ tokens }: TextProgress<ScoredToken>) => {
    for (const { token, text } of tokens) onEvent({ kind: "token", choice, text, ...token });
  };
  const end = (finishReason: "stop" | "length", stopText?: string) => {
    const ending = stopText === undefined ? {} : { stopText };
    onEvent({ kind: "end", choice, text: "", finishReason, ...ending });
  };
  let { logits } = start;
  for (let drawn = 0; drawn < maxTokens; drawn++) {
    signal.throwIfAborted();
    const adjusted = adjustLogits(logits, sampling, counts);
    await constraint?.prepare(pause);
    const id = sampler.next(adjusted, seen, constraint?.mask());
    constraint?.accept(id);
    if (endIds.has(id)) {
      give(text.end());
      end("stop");
      return drawn + 1;
    }
    source.sampled(id);
    seen.add(id);
    counts.set(id, (counts.get(id) ?? 0) + 1);
    const scored = logprobs === undefined ? {} : scoresOf(tokenizer, logits, id, logprobs);
    const progress = text.push(id, { ...tokenOf(tokenizer, id), ...scored });
    give(progress);
    if (progress.stopText !== undefined) {
      end("stop", progress.stopText);
      return drawn + 1;
    }
    if (constraint?.done) {
      give(text.end());
      end("stop");
      return drawn + 1;
    }
    if (drawn + 1 >= maxTokens || !(await source.hasRoom())) {
      give(text.end());
      end("length");
      return drawn + 1;
    }
    logits = await source.advance();
  }
  end("length");
  return 0;
}

/** How likely a token is, with so many alternatives. */
export function scoresOf(
  tokenizer: Tokenizer,
  logits: Float32Array,
  id: number,
  count: number,
): Pick<ScoredToken, "logprob" | "top"> {
  const { logprob, top } = logprobsOf(logits, id, count);
  return {
    logprob,
    top: top.map((one) => ({ ...tokenOf(tokenizer, one.id), logprob: one.logprob })),
  };
}
