import type { Measurement } from "../measurement.ts";
import { cacheShapeOf } from "../../runtime/engine/engine.ts";
import { isRatio, keepCount } from "../../runtime/evict/budget.ts";
import type { KeptTokens } from "../../runtime/evict/choose.ts";
import { PromptError } from "../../runtime/errors.ts";
import { conversationIds } from "../../runtime/tokenizer/completion_form.ts";
import { oracle } from "../../policies/oracle.ts";
import { globalKept } from "../global_kept.ts";
import { readEvidence } from "../read_evidence.ts";
import { type Interval, mean, wilson } from "../statistics.ts";
import { type AnswerItem, isRight, messagesOf, type QuestionPlace } from "./item.ts";

/**
 * What {@linkcode measureRightAnswers} is to do. The whole cache and the oracle are measured too,
 * whatever the policies.
 */
export interface RightAnswersRequest extends Measurement {
  readonly items: readonly AnswerItem[];
  /** Where the question stands; every item is asked in each way. */
  readonly places: readonly QuestionPlace[];
  /** Tokens of an answer, at most. @default {32} */
  readonly answerTokens?: number;
  /** Gets the number of prompts that are done, and of all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** One answer. */
export interface GivenAnswer {
  readonly policy: string;
  /** `null` for the whole cache. */
  readonly budget: string | null;
  readonly text: string;
  readonly right: boolean;
  /** Whether more was kept than the budget, a ratio of the prompt: what the policy always keeps. */
  readonly aboveBudget: boolean;
}

/** The answers to one prompt. */
export interface AnswerRow {
  readonly id: string;
  readonly question: QuestionPlace;
  readonly tokens: number;
  readonly expected: string;
  readonly answers: readonly GivenAnswer[];
}

/** One policy at one budget, with the question in one place. */
export interface RightAnswers {
  readonly question: QuestionPlace;
  readonly policy: string;
  /** `null` for the whole cache. */
  readonly budget: string | null;
  readonly right: number;
  readonly total: number;
  /** 95 % interval of `right / total`. */
  readonly interval: Interval;
  /** `right` against that of the whole cache; `null` if that is 0. */
  readonly shareOfFull: number | null;
  /** Answers from more than the budget: a ratio of these prompts is less than the policy always keeps. */
  readonly aboveBudget: number;
}

/** What was measured. */
export interface RightAnswersReport {
  readonly rows: readonly AnswerRow[];
  readonly results: readonly RightAnswers[];
}

const ANSWER_TOKENS = 32;

/** Names of the rows that are always there. */
const FULL = "full";
const ORACLE = "oracle";

/**
 * Counts right greedy answers: with the whole cache, and with what each policy keeps at each budget.
 * Every prompt is read once; each answer is decoded from a copy of its cache. A policy that always keeps
 * more than a budget that is a ratio keeps that, and no more.
 *
 * @throws {PromptError} If a prompt and its answer are longer than the model's context.
 * @throws {BudgetError} If a policy always keeps more than a budget in tokens or bytes.
 */
export async function measureRightAnswers(
  request: RightAnswersRequest,
): Promise<RightAnswersReport> {
  const { items, places, budgets, answerTokens = ANSWER_TOKENS, signal, onProgress } = request;
  const asked = request.policies.filter(({ policy }) => policy.evicts !== false);
  const policies = asked.some(({ label }) => label === ORACLE)
    ? asked
    : [...asked, { label: ORACLE, policy: oracle({ tokens: answerTokens }) }];
  const rows: AnswerRow[] = [];
  for (const question of places) {
    for (const item of items) {
      signal?.throwIfAborted();
      rows.push(await answerItem({ ...request, policies, answerTokens }, item, question));
      onProgress?.(rows.length, places.length * items.length);
    }
  }
  const kinds = [
    { policy: FULL, budget: null },
    ...policies.flatMap(({ label }) =>
      budgets.map((one) => ({ policy: label, budget: one.label }))
    ),
  ];
  return {
    rows,
    results: places.flatMap((question) => kinds.map((kind) => count(rows, question, kind))),
  };
}

async function answerItem(
  request: RightAnswersRequest & { readonly answerTokens: number },
  item: AnswerItem,
  question: QuestionPlace,
): Promise<AnswerRow> {
  const { model, policies, budgets, answerTokens, signal, chunk } = request;
  const { engine, tokenizer, config: { context } } = model;
  const ids = conversationIds(messagesOf(item, question), tokenizer);
  if (ids.length + answerTokens > context) {
    throw new PromptError(
      `Cannot ask a question of ${ids.length} tokens: with ${answerTokens} of the answer they are ` +
        `more than the model's context of ${context}; give fewer tokens`,
    );
  }
  using evidence = await readEvidence({
    engine,
    facts: await model.facts(),
    ids,
    policies: policies.map(({ policy }) => policy),
    answerTokens,
    raise: "ratios",
    ...(chunk === undefined ? {} : { chunk }),
    ...(signal ? { signal } : {}),
  });
  const given = (
    kind: Kind,
    answer: readonly number[],
    aboveBudget = false,
  ): GivenAnswer => {
    const text = tokenizer.decode(answer, { skipSpecial: true });
    return { ...kind, text, right: isRight(text, item.expected), aboveBudget };
  };
  const shape = cacheShapeOf(engine);
  const answers = [given({ policy: FULL, budget: null }, evidence.answer)];
  for (const { label, policy } of policies) {
    for (const { label: budget, budget: amount } of budgets) {
      const kind = { policy: label, budget };
      const count = keepCount(ids.length, amount, shape);
      if (count >= ids.length && !policy.phases?.decoding) {
        answers.push(given(kind, evidence.answer));
        continue;
      }
      const kept = await evidence.keep(policy, amount);
      const above = isRatio(amount) && meanLength(globalKept(kept, model.config)) > count;
      const { result } = await evidence.answerFrom(kept, answerTokens, { policy, budget: amount });
      answers.push(given(kind, result, above));
    }
  }
  return { id: item.id, question, tokens: ids.length, expected: item.expected, answers };
}

interface Kind {
  readonly policy: string;
  readonly budget: string | null;
}

function count(rows: readonly AnswerRow[], question: QuestionPlace, kind: Kind): RightAnswers {
  const ofPlace = rows.filter((row) => row.question === question);
  const answersOf = ({ policy, budget }: Kind) =>
    ofPlace.flatMap(({ answers }) => answers)
      .filter((one) => one.policy === policy && one.budget === budget);
  const rightOf = (kind: Kind) => answersOf(kind).filter((one) => one.right).length;
  const right = rightOf(kind);
  const full = rightOf({ policy: FULL, budget: null });
  const total = ofPlace.length;
  return {
    question,
    ...kind,
    right,
    total,
    interval: wilson(right, total),
    shareOfFull: full === 0 ? null : right / full,
    aboveBudget: answersOf(kind).filter((one) => one.aboveBudget).length,
  };
}

/** Tokens that a KV head keeps, on average. */
function meanLength(kept: KeptTokens): number {
  return mean(kept.flat().map(({ length }) => length));
}
