/**
 * Measures policies: the critical hit rate and attention mass of what they keep, and the answers that
 * it leaves.
 *
 * @module
 */
export { type Catch, compareWithReference, LOCAL_TOKENS, localShare } from "./critical_hits.ts";
export {
  type HitRate,
  type HitRateReport,
  type HitRateRequest,
  measureHitRates,
  type NamedBudget,
  type PromptHit,
  type PromptRow,
} from "./hit_rate.ts";
export {
  type NamedPolicy,
  parsePolicies,
  type PolicyDefaults,
  type PolicyListOptions,
} from "./policy_list.ts";
export { type EvidenceReading, type PromptEvidence, readEvidence } from "./prompt_evidence.ts";
export {
  type BrokenLine,
  type EvaluationPrompt,
  type KnownAnswer,
  type PromptSet,
  readPromptSet,
} from "./prompt_set.ts";
export { makeCodes } from "./right_answers/codes.ts";
export { type FactsOptions, makeFacts } from "./right_answers/facts.ts";
export {
  type AnswerItem,
  type Frames,
  isRight,
  messagesOf,
  type QuestionPlace,
  type Split,
} from "./right_answers/item.ts";
export {
  type AnswerRow,
  type GivenAnswer,
  measureRightAnswers,
  type RightAnswers,
  type RightAnswersReport,
  type RightAnswersRequest,
} from "./right_answers/measure.ts";
export { type Estimate, estimate, type Interval, wilson } from "./statistics.ts";
